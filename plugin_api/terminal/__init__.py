"""Everything that the commands draw on a terminal: progress bars and the width of their output."""

from plugin_api.terminal.console import output_console
from plugin_api.terminal.progress import JobProgress, StageProgress, task_progress

__all__ = ["JobProgress", "StageProgress", "output_console", "task_progress"]
