"""An SQLite file that an operator may replace while it is open: a commit into the old one would be lost."""

from pathlib import Path

from talentfeed.errors import SourceError

_Identity = tuple[int, int]  # device, inode


class SqliteFile:
    """Whether a path still names the file that connections were opened on. Its methods touch the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: _Identity | None = None
        self._beside: dict[Path, _Identity] = {}  # the log and its index that belong to the known file
        self._left: dict[Path, _Identity] = {}

    def __str__(self) -> str:
        return str(self.path)

    def replaced(self) -> bool:
        """True from when the path names another file until `adopt`. Raises SourceError where there is no file."""
        found = _identity(self.path)
        if found is None or not self.path.is_file():
            raise SourceError(f"There is no database at {self.path}; `talentfeed demo` makes one")
        if self._known is None:
            self._known = found
        beside = {path: identity for path in self._companions() if (identity := _identity(path)) is not None}
        if found == self._known:
            self._beside = beside
            return False
        # Looked at while the old connections are open: later their inodes' numbers may be others'.
        self._left = {path: identity for path, identity in beside.items() if self._beside.get(path) == identity}
        return True

    def adopt(self) -> None:
        """The new file is ours from now on. Call when the old connections are closed.

        A log that the old file has left is removed: SQLite would play it into the new one.
        """
        for path, identity in self._left.items():
            if _identity(path) == identity:
                path.unlink(missing_ok=True)
        self._known, self._beside, self._left = None, {}, {}

    def _companions(self) -> list[Path]:
        return [self.path.with_name(self.path.name + suffix) for suffix in ("-wal", "-shm")]


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
