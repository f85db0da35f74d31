"""What is at a database path, and how something new gets there: whole or not at all, and never over something else."""

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from talentfeed import files, times
from talentfeed.demo import schema
from talentfeed.errors import SourceError

Result = TypeVar("Result")
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What made a database; kept as JSON in `<database>.json`, without what is None, `as_of` as ISO 8601."""

    made_by: str  # demo, import, or unknown where nothing readable stands beside the database
    seed: int | None = None
    scale: float | None = None
    now: float | None = None  # seconds since 1970: the demo's ages count back from here
    folder: str | None = None  # name of the imported dataset folder
    as_of: float | None = None  # seconds since 1970: newest time in the imported data; None where it has no times


def note_path(path: Path) -> Path:
    """Where the note on what made the database at `path` is kept."""
    return path.with_name(path.name + ".json")


def describe(path: Path) -> Made | None:
    """What made the database at `path`; None where there is none.

    A database without a readable note is `Made(made_by="unknown")`: it is somebody's, so it is never overwritten.
    """
    if not path.exists():
        return None
    try:
        note = json.loads(note_path(path).read_text(encoding="utf-8"))
        as_of = note.pop("as_of", None)
        return Made(**note, as_of=None if as_of is None else datetime.fromisoformat(as_of).timestamp())
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return Made(made_by=UNKNOWN)


def is_demo(made: Made | None, *, seed: int | None = None, scale: float | None = None) -> TypeGuard[Made]:
    """Whether `made` is the demo database that was asked for; None stands for whichever seed or scale it has."""
    return (
        made is not None
        and made.made_by == "demo"
        and (seed is None or seed == made.seed)
        and (scale is None or scale == made.scale)
    )


def set_aside(path: Path) -> Path:
    """Rename the database at `path`, what SQLite keeps beside it, and its note; returns the database's new path.

    The new name is `<stem>-<made_by>-<UTC time>.db` in the same folder. No server may have the database open.
    Raises SourceError where there is no database.
    """
    made = describe(path)
    if made is None:
        raise SourceError(f"{path}: there is no database to set aside")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path.with_name(f"{path.stem}-{made.made_by}-{stamp}{path.suffix}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.stem}-{made.made_by}-{stamp}-{number}{path.suffix}")
    # The log of commits moves before the file it belongs to: a crash in between then leaves a database that is
    # complete up to its last checkpoint, and a log under the name that it will have.
    for suffix in (".json", "-shm", "-wal"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return path.rename(target)


def install(draft: Path, path: Path) -> Path | None:
    """Put the complete database at `draft`, with its note, at `path`; returns where the former one is kept, if any."""
    kept = set_aside(path) if path.exists() else None
    # The note first: alone it describes nothing, while a database without it would be nobody's.
    with suppress(FileNotFoundError):
        note_path(draft).replace(note_path(path))
    draft.replace(path)
    files.sync(path.parent)
    return kept


def remove(path: Path) -> None:
    """Delete the database at `path`, what SQLite keeps beside it, and its note."""
    for suffix in ("", "-wal", "-shm", ".json"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def make(path: Path, fill: Callable[[sqlite3.Connection], tuple[Made, Result]]) -> Result:
    """Create the database at `path` with the platform's tables, filled by `fill` in one transaction.

    Everything happens in a file of another name, which takes its place when complete: whatever ends the process before
    leaves nothing at `path`. What a killed process left under such a name is removed by the next call.
    Raises SourceError where something is at `path` already, and whatever `fill` raises.
    """
    if path.exists():
        raise SourceError(f"{path}: a database is there already; set it aside first")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    with _draft(path) as draft:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            # Safe without a journal: an unfinished draft is thrown away whole.
            for pragma in (
                "journal_mode = OFF",
                "synchronous = OFF",
                "cache_size = -65536",
                "locking_mode = EXCLUSIVE",
            ):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN")
            schema.create(connection)
            made, result = fill(connection)
            connection.execute("COMMIT")
        files.sync(draft)
        note_path(draft).write_text(json.dumps(_note(made), indent=1) + "\n", encoding="utf-8")
        files.sync(note_path(draft))
        install(draft, path)
    return result


def _note(made: Made) -> dict[str, Any]:
    note = {name: value for name, value in asdict(made).items() if value is not None}
    return note if made.as_of is None else {**note, "as_of": times.iso(made.as_of)}


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    draft = path.with_name(f"{path.name}.part-{os.getpid()}")
    _remove_draft(draft)
    try:
        yield draft
    finally:
        _remove_draft(draft)


def _remove_draft(draft: Path) -> None:
    draft.with_name(draft.name + "-journal").unlink(missing_ok=True)
    note_path(draft).unlink(missing_ok=True)
    draft.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    for draft in folder.glob("*.part-*"):
        owner = re.search(r"\.part-(\d+)(\.json|-journal)?$", draft.name)
        if owner is not None and not _alive(int(owner[1])):
            draft.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
