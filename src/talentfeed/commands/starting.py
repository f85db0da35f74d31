"""How every command begins, and how it ends where something is wrong."""

import sys
from collections.abc import Callable

from talentfeed import embedded, logs
from talentfeed import settings as settings_module
from talentfeed.errors import TalentFeedError
from talentfeed.settings import Settings


def start() -> Settings:
    """The settings, with the log set up by them. Raises SettingsError."""
    settings = settings_module.load()
    logs.set_up(level=settings.log_level, file=settings.log_file, form=settings.log_format)
    return settings


def start_with_key() -> Settings:
    """Where no admin key is set, with the demo's: for commands that act through the running server."""
    return embedded.with_demo_key(start(), make=False)


def to_its_end(command: Callable[[], object]) -> None:
    """Errors of ours are one clear text and exit code 1, never a trace."""
    try:
        command()
    except TalentFeedError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
