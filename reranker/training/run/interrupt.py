"""Ctrl-C between two steps of training, never within one."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def hold_back_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back while the block runs; it asks the function it is given whether one came.

    One that came is raised as KeyboardInterrupt where the block ends. Outside of the main thread, where
    signals can't be caught, the block is interrupted at once.
    """
    came = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
