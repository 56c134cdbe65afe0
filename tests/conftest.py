"""What all tests need."""

import signal
from collections.abc import Iterator

import pytest

from plugin_api.commands.index import priority


def pytest_configure() -> None:
    """Let Ctrl-C reach the tests and what they start: a shell's background jobs begin with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def priority_of_their_own() -> Iterator[None]:
    """Keep the tests' priority where a command runs in their process: it could not be raised again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(priority, "ENABLED", False)
        yield
