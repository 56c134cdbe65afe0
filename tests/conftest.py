"""What all tests need."""

import signal


def pytest_configure() -> None:
    """Let Ctrl-C reach the tests and what they start: a shell's background jobs begin with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
