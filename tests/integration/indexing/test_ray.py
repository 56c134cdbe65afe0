"""Rebuilds on a Ray cluster of this machine, with several workers, against real OpenSearch."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from opensearchpy import OpenSearch

from indexer.ray.engine import RayEngine
from indexer.rebuild.job import RebuildReport
from mappings.errors import IndexingError, ModelMismatch, SettingsError
from mappings.settings import IndexSettings
from mappings.types import JsonObject
from tests.fakes.fake_encoder import FakeEncoder
from tests.fakes.ray_encoders import DyingEncoder, HeldEncoder, OtherEncoder
from tests.integration.indexing.shop import Shop, mug
from tests.integration.stack import ROOT, free_port

# Ray warns of settings of its own that it copies.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")

SLOW_MACHINE_SECONDS = 120
PRODUCTS = 1200
HOLD = 600
WORKERS = 2

RECORDS = [mug(number) for number in range(PRODUCTS)]
RECORDS[HOLD]["title"] = "hold"
BROKEN = [mug(3, title="again"), mug("", title="no id")]


@pytest.fixture
def engine(opensearch: str, tmp_path: Path) -> Callable[..., RayEngine]:
    def engine(encoder: type[HeldEncoder]) -> RayEngine:
        return RayEngine(partial(OpenSearch, opensearch, timeout=60), partial(encoder, tmp_path), WORKERS, 1)

    return engine


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One cluster for all tests: starting it takes longer than they do."""
    import ray

    ray.init("local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def rebuild(shop: Shop, records: list[JsonObject], engine: RayEngine) -> RebuildReport:
    settings = IndexSettings(batch=40)
    return shop.rebuild(records, settings=settings, encoder=FakeEncoder(), engine=engine)


def wait_for(reached: Callable[[], Any]) -> Any:
    until = time.monotonic() + SLOW_MACHINE_SECONDS
    while not (found := reached()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def ended(folder: Path) -> bool:
    """Whether all actors that left a mark are gone."""
    return not any(psutil.pid_exists(int(of.name.partition("-")[2])) for of in folder.glob("started-*"))


def test_a_cluster_that_is_not_there_is_said_at_once(shop: Shop, opensearch: str, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    nowhere = RayEngine(partial(OpenSearch, opensearch), partial(HeldEncoder, tmp_path), address=address)
    with pytest.raises(
        SettingsError, match=f"the Ray cluster can't be joined at RAY_ADDRESS={address}"
    ) as raised:
        rebuild(shop, RECORDS[:10], nowhere)
    assert raised.value.exit_code == 2


def test_a_worker_killed_half_way_changes_nothing(
    cluster: None, engine: Callable[..., RayEngine], shop: Shop, tmp_path: Path
) -> None:
    records = [*RECORDS[:100], *BROKEN, *RECORDS[100:]]
    here = shop.rebuild(records, settings=IndexSettings(batch=40))
    expected, rejects = shop.documents(), shop.rejects("rejects.jsonl")
    shop.remove()

    def kill() -> None:
        wait_for((tmp_path / "held").exists)
        os.kill(int((tmp_path / "held").read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    there = rebuild(shop, records, engine(HeldEncoder))
    killer.join()
    assert len(list(tmp_path.glob("started-*"))) == WORKERS + 1
    assert (there.indexed, there.encoded) == (here.indexed, here.encoded) == (PRODUCTS, PRODUCTS)
    assert (there.rejected, there.duplicates) == (here.rejected, here.duplicates) == (1, 1)
    assert shop.documents() == expected
    assert shop.rejects("rejects.jsonl") == rejects
    wait_for(lambda: ended(tmp_path))


def test_a_batch_that_kills_every_worker_ends_the_job(
    cluster: None, engine: Callable[..., RayEngine], shop: Shop
) -> None:
    records = [*RECORDS[:50], mug(50, title="die")]
    died = r"5 Ray workers died at the (11|40) products from line (41|1), or at what"  # which was beside it
    with pytest.raises(IndexingError, match=died):
        rebuild(shop, records, engine(DyingEncoder))


def test_what_fails_in_a_worker_fails_as_it_does_here(
    cluster: None, engine: Callable[..., RayEngine], shop: Shop, tmp_path: Path
) -> None:
    with pytest.raises(ModelMismatch, match="a Ray worker has model ba9876543210, this job 0123456789ab"):
        rebuild(shop, RECORDS[:50], engine(OtherEncoder))
    with pytest.raises(RuntimeError, match="the encoder failed"):
        rebuild(shop, [*RECORDS[:50], mug(50, title="unencodable")], engine(HeldEncoder))
    wait_for(lambda: ended(tmp_path))


def test_a_job_that_is_stopped_ends_its_cluster_and_goes_on_later(
    opensearch: str, client: OpenSearch, shop: Shop, tmp_path: Path
) -> None:
    path = tmp_path / "products.jsonl"
    with gzip.open(
        ROOT / "plugin_api/commands/demo/data/electronics.jsonl.gz", "rt", encoding="utf-8"
    ) as demo:
        path.write_text("".join(line for line, _ in zip(demo, range(1000), strict=False)), encoding="utf-8")

    def command(alias: str, *options: str) -> tuple[list[str], dict[str, str]]:
        fields = ROOT / "plugin_api/commands/demo/data/electronics.toml"
        arguments = ["index", str(path), "--fields", str(fields), "--alias", alias, "--json", *options]
        settings = {
            "ATTUNE_OPENSEARCH_URL": opensearch,
            "ATTUNE_OPENSEARCH_USER": "nobody",
            "ATTUNE_OPENSEARCH_PASSWORD": "secret-of-the-test",
            "ATTUNE_INDEX_BATCH": "8",
            "RAY_TMPDIR": str(ray_files),
        }
        return [sys.executable, "-m", "plugin_api", *arguments], os.environ | settings

    ray_files = Path("/tmp") / shop.alias  # a socket's path is short
    arguments, environment = command(shop.alias, "--engine", "ray", f"--workers={WORKERS}")
    job = subprocess.Popen(arguments, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def some_written() -> bool:
        assert job.poll() is None, job.communicate()
        pattern = f"{shop.alias}-*"
        client.indices.refresh(index=pattern)
        return bool(client.count(index=pattern)["count"])

    wait_for(some_written)
    processes = psutil.Process(job.pid).children(recursive=True)
    assert len(processes) > WORKERS
    job.terminate()
    job.communicate(timeout=SLOW_MACHINE_SECONDS)
    assert job.returncode == 1
    assert not psutil.wait_procs(processes, timeout=SLOW_MACHINE_SECONDS)[1]
    assert not client.exists(index="attune-jobs", id=f"lock:{shop.alias}:rebuild")
    logs = [of.read_text(errors="replace") for of in ray_files.rglob("*") if of.is_file()]
    assert logs
    assert "secret-of-the-test" not in "".join(logs)
    shutil.rmtree(ray_files)

    reports = []
    for alias in (shop.alias, f"{shop.alias}-whole"):
        arguments, environment = command(alias)
        done = subprocess.run(
            arguments, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        reports.append(json.loads(done.stdout))
    resumed, whole = reports
    assert (resumed["resumed"], resumed["indexed"]) == (True, whole["indexed"])
    assert 0 < resumed["encoded"] < whole["encoded"]
    assert shop.documents() == shop.documents(whole["index"])
    client.indices.delete(index=whole["index"])
