"""What the engine was told by the builds before, step by step, so that the next need not write it again.

Writing the expressions of a build, and compiling them, takes as long as computing them; what they compile to depends
on this program, its libraries, a few settings and the types of what is read, and on no row. A step's key is made of
all that: where it fits the statements are told as they stand, and neither Ibis nor sqlglot is imported; where it does
not, the step is written. Numbers that change go in as variables of the engine.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

from talentfeed import contracts, evidence, files

log = logging.getLogger(__name__)

FILE = "plans.json"
MOST_STEPS = 100  # that are kept: those of some five builds which differ in everything


class Statement(msgspec.Struct, frozen=True, tag="statement"):
    """What the engine does."""

    sql: str


class Tally(msgspec.Struct, frozen=True, tag="tally"):
    """What the engine counts, of what was left out: see `Workbench.skipped`."""

    label: str
    by: str | None  # the column that names the label instead
    columns: tuple[str, ...]  # of the answer; `fate`, `rows` and flags among them
    sql: str


class Result(msgspec.Struct, frozen=True, tag="result"):
    """What rows may be asked for, once the statements before are done."""

    name: str
    sql: str


Move = Statement | Tally | Result


class _File(msgspec.Struct, frozen=True):
    checksum: str
    steps: dict[str, tuple[Move, ...]]  # those used last come last


@dataclass(slots=True)
class Plans:
    """The steps that are known, in a file of the snapshots' folder; without one nothing is known, and nothing kept."""

    path: Path | None = None
    known: dict[str, tuple[Move, ...]] = field(default_factory=dict)  # by key
    used: dict[str, tuple[Move, ...]] = field(default_factory=dict)  # of them, and what was written since

    @classmethod
    def of(cls, folder: Path) -> "Plans":
        """Those in this folder; none where the file cannot be read or is damaged, which is logged."""
        path = folder / FILE
        try:
            found = msgspec.json.decode(path.read_bytes(), type=_File)
            if found.checksum != _checksum(found.steps):
                raise ValueError("its checksum is another")
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.warning("%s: no plans: %s; this build writes them anew", path, error)
            return cls(path)
        return cls(path, found.steps)

    def find(self, key: str) -> Sequence[Move] | None:
        """What this step tells the engine; None where nobody wrote it yet."""
        moves = self.known.get(key)
        if moves is not None:
            self.used[key] = moves
        return moves

    def add(self, key: str, moves: Sequence[Move]) -> None:
        """What this step told the engine, for next time."""
        self.used[key] = tuple(moves)

    def keep(self) -> None:
        """Write the file where something new was told. Where it cannot be written the next build takes longer."""
        if self.path is None or self.used.keys() <= self.known.keys():
            return
        steps = {key: moves for key, moves in self.known.items() if key not in self.used} | self.used
        steps = dict(list(steps.items())[-MOST_STEPS:])
        try:
            files.replaced(self.path, msgspec.json.encode(_File(_checksum(steps), steps)))
        except OSError as error:
            log.warning("%s: cannot be written: %s; the next build writes its plans anew", self.path, error.strerror)

    def drop(self) -> None:
        """Remove the file, because what it says may be why a build failed."""
        if self.path is not None and self.known:
            log.warning("%s: removed, since it may be why this build failed; the next one writes it anew", self.path)
            try:
                self.path.unlink(missing_ok=True)
            except OSError as error:  # what failed before is what is to be told
                log.warning("%s: cannot be removed: %s; remove it by hand", self.path, error.strerror)


def _checksum(steps: Mapping[str, tuple[Move, ...]]) -> str:
    return hashlib.sha256(msgspec.json.encode(steps)).hexdigest()


def key(*parts: str) -> str:
    """One of several: of the same parts in the same order the same."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def modules() -> list[Path]:
    """Where it is written what statements are made of."""
    return sorted([*Path(__file__).parent.glob("*.py"), Path(contracts.__file__), Path(evidence.__file__)])


@cache
def program() -> str:
    """Changes with what statements are made of, and with the libraries installed beside Ibis."""
    sources = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in modules()]
    ibis = find_spec("ibis")
    installed = [] if ibis is None or ibis.origin is None else Path(ibis.origin).parents[1].glob("*.dist-info")
    return key(*sources, *sorted(path.name for path in installed))
