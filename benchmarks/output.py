"""Where tables go."""

from rich.console import Console

WIDE = 140  # characters, where stdout is no terminal: no figure is cut


def for_tables() -> Console:
    """Stdout, as wide as the terminal."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    return console
