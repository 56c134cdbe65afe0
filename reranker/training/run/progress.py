"""How a stage of training reports how far it has come."""

from collections.abc import Callable

ReportProgress = Callable[[int, int], None]
"""Called with what is done and the total."""

ReportStage = Callable[[str], ReportProgress]
"""Maps the name of a stage to where its progress is reported."""


def ignore_progress(_done: int, _total: int) -> None:
    """Report progress to nobody: that of one part is too fine to show."""
