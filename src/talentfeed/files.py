"""Files that are there whole or not at all, also after the machine loses its power."""

import os
import secrets
from pathlib import Path
from typing import Any


def put(path: Path, *chunks: Any) -> None:
    """Write a file that nobody reads yet; it is on the disk when this returns. Raises OSError."""
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def replaced(path: Path, content: bytes) -> None:
    """Give a file this content: a reader sees the former one or this one, never half. Its folder is made if need be.

    Raises OSError; then the former stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        put(draft, content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file, or a folder's names, on the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
