"""The console that commands print their tables on."""

from rich.console import Console


def output_console(plain_width: int = 100) -> Console:
    """Return a console for standard output: as wide as the terminal, or `plain_width` columns elsewhere."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=plain_width)
