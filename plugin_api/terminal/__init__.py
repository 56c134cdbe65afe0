"""What the commands show: progress bars and counts on a terminal, and the style of reports in HTML."""

from plugin_api.terminal.console import output_console
from plugin_api.terminal.progress import JobProgress, StageProgress, task_progress
from plugin_api.terminal.words import format_count

__all__ = ["JobProgress", "StageProgress", "format_count", "output_console", "task_progress"]
