"""What building and fetching came to, told to all who serve from a folder: a small file beside the snapshots.

A build runs in a process of its own, and every worker and every pod on a shared volume should know how it went.
"""

import contextlib
import fcntl
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from talentfeed import files

BUILD, FETCH = "BUILD.json", "FETCH.json"
_LOCK = ".building"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the last one went."""

    at: float  # when it ended, seconds since 1970 UTC
    id: str = ""
    error: str | None = None  # why it came to nothing
    version: str | None = None
    as_of: float | None = None
    changed: bool = False
    seconds: Mapping[str, float] = msgspec.field(default_factory=dict)
    bytes: int = 0


def tell(folder: Path, name: str, outcome: Outcome) -> None:
    """Leave it for others. Raises OSError."""
    files.replaced(folder / name, msgspec.json.encode(msgspec.structs.replace(outcome, id=secrets.token_hex(8))))


def ask(folder: Path, name: str) -> Outcome | None:
    """The last one; None where there was none, or it cannot be read."""
    try:
        return msgspec.json.decode((folder / name).read_bytes(), type=Outcome)
    except (OSError, msgspec.MsgspecError):
        return None


@contextlib.contextmanager
def turn(folder: Path, *, waits: Callable[[], None]) -> Iterator[Outcome | None]:
    """Build alone. Where another builds already: calls `waits`, waits for its end, and yields what came of it.

    None where nobody did, or it left nothing. Raises OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = ask(folder, BUILD)
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(lock, fcntl.LOCK_EX)
            after = ask(folder, BUILD)
            yield after if after != before else None
        else:
            yield None
