"""What all tests need."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_api.commands.index import priority
from tests.unit import FIXTURES, is_unit


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--unit", action="store_true", help="only what needs no torch, container or browser")


def pytest_configure() -> None:
    """Set up the process, and what it starts.

    Torch's threads sleep while they wait for each other. Where other processes keep the cores busy, spinning
    makes a test of training take four times as long.

    Ctrl-C reaches the tests: a shell's background jobs begin with it ignored.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the garbage collector, which would take 1.5 s of processor time in every process."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not config.getoption("--unit"):
        return None
    if collection_path.is_dir():
        return True if not any(map(is_unit, collection_path.rglob("test_*.py"))) else None
    return True if collection_path.suffix == ".py" and not is_unit(collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--unit"):
        long = [item for item in items if FIXTURES.intersection(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session", autouse=True)
def priority_of_their_own() -> Iterator[None]:
    """Keep the tests' priority where a command runs in their process: it could not be raised again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(priority, "ENABLED", False)
        yield
