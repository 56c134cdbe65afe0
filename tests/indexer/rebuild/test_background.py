import os
import threading
from collections.abc import Sequence

import pytest

from indexer.rebuild.background import BackgroundEncoder, measure_idle_share
from mappings.errors import JobStopped
from mappings.types import Product
from reranker.types import EncodedProduct
from tests.fakes.fake_encoder import FakeEncoder, encode_text

MUGS = [Product(id=str(number), title=f"Mug {number}") for number in range(200)]


class Machine:
    """A clock and a processor clock. Encoding a product takes 10 ms of a processor.

    `idle_share` is how much of the processors' time idle threads get, `normal_share` what other threads get.
    """

    def __init__(self, idle_share: float, normal_share: float = 0.5) -> None:
        self.idle_share, self.normal_share = idle_share, normal_share
        self.seconds = self.cpu_seconds = 0.0

    def clock(self) -> float:
        return self.seconds

    def cpu_clock(self) -> float:
        return self.cpu_seconds

    def probe(self) -> float:
        self.seconds += 0.25
        return self.idle_share

    def work(self, products: int, idle: bool) -> None:
        self.cpu_seconds += 0.01 * products
        self.seconds += 0.01 * products / (self.idle_share if idle else self.normal_share)


class EncoderOnMachine(FakeEncoder):
    """Encodes on the machine, and records the priority of each chunk."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine
        self.idle: list[bool] = []

    def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
        self.idle.append(os.sched_getscheduler(0) == os.SCHED_IDLE)
        self.machine.work(len(products), self.idle[-1])
        return super().encode_products(products)


pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="needs Linux")


def background(machine: Machine, lines: list[str]) -> tuple[BackgroundEncoder, EncoderOnMachine]:
    encoder = EncoderOnMachine(machine)
    return background_encoder(encoder, machine, lines), encoder


def background_encoder(encoder: EncoderOnMachine, machine: Machine, lines: list[str]) -> BackgroundEncoder:
    return BackgroundEncoder(
        encoder,
        1,
        on_change=lines.append,
        clock=machine.clock,
        cpu_clock=machine.cpu_clock,
        probe=machine.probe,
    )


def test_idle_time_is_used_while_there_is_enough() -> None:
    lines: list[str] = []
    machine = Machine(idle_share=0.9)
    encoding, encoder = background(machine, lines)
    vectors = encoding.encode_products(MUGS)
    assert [vector.stored for vector in vectors] == [encode_text(mug.title).stored for mug in MUGS]
    assert all(encoder.idle)
    assert lines == []
    assert (encoding.speed.share, encoding.speed.raised_share) == (0.9, 0.0)


def test_other_work_does_not_bring_encoding_to_a_halt() -> None:
    lines: list[str] = []
    machine = Machine(idle_share=0.01)
    encoding, encoder = background(machine, lines)
    for _ in range(50):
        encoding.encode_products(MUGS)
    assert encoding.speed.share == 0.5
    assert encoding.speed.raised_share == 1.0
    assert not any(encoder.idle)
    assert lines == ["other work keeps the processors busy: encoding takes a share of its own"]
    assert sum(encoder.batches) == 50 * len(MUGS)


def test_work_that_begins_later_holds_up_few_products() -> None:
    lines: list[str] = []
    machine = Machine(idle_share=0.9)
    encoding, encoder = background(machine, lines)
    encoding.encode_products(MUGS)
    machine.idle_share = 0.01
    encoding.encode_products(MUGS)
    assert encoder.idle.count(True) == len(MUGS) // 4 + 1
    assert lines == ["other work keeps the processors busy: encoding takes a share of its own"]


def test_idle_time_is_measured_by_a_process_that_ends() -> None:
    before = os.times().children_user
    share = measure_idle_share()
    assert 0 <= share <= 1
    assert os.times().children_user - before <= 2 * 0.25 + share


def test_idle_time_is_used_again_when_the_other_work_has_ended() -> None:
    lines: list[str] = []
    machine = Machine(idle_share=0.01)
    encoding, encoder = background(machine, lines)
    encoding.encode_products(MUGS)
    machine.idle_share = 1.0
    while not encoder.idle[-1]:
        assert machine.seconds < 100
        encoding.encode_products(MUGS)
    encoding.encode_products(MUGS)
    assert encoder.idle[-1]
    assert lines[1:] == ["the processors have idle time again: encoding uses that"]


def test_the_callers_thread_keeps_its_priority() -> None:
    before = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    background(Machine(idle_share=0.01), [])[0].encode_products(MUGS)
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == before


@pytest.mark.parametrize(("share", "niceness"), [(0.9, 15), (0.01, 4)])
def test_threads_are_nice_where_the_policy_is_forbidden(
    share: float, niceness: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(*_: object) -> None:
        raise PermissionError

    class NiceRecorder(EncoderOnMachine):
        def encode_products(self, products: Sequence[Product]) -> list[EncodedProduct]:
            recorded.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().encode_products(products)

    recorded: list[int] = []
    machine = Machine(share, share)
    monkeypatch.setattr(os, "sched_setscheduler", forbid)
    background_encoder(NiceRecorder(machine), machine, []).encode_products(MUGS[:48])
    assert set(recorded) == {max(niceness, os.getpriority(os.PRIO_PROCESS, 0))}


def test_an_error_reaches_the_caller_and_a_stop_ends_it_between_chunks() -> None:
    encoder = FakeEncoder()
    with pytest.raises(RuntimeError, match="the encoder failed"):
        BackgroundEncoder(encoder, 1).encode_products([Product(id="1", title="unencodable")])

    def check() -> None:
        if sum(encoder.batches) > 50:
            raise JobStopped("stop")

    with pytest.raises(JobStopped):
        BackgroundEncoder(encoder, 1, check).encode_products(MUGS)
    assert sum(encoder.batches) < 100
