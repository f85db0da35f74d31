"""What a start of the server spares: modules of libraries that their packages import and nobody who serves uses.

A package takes what is put in `sys.modules` for the module. Another version of it may want more: then the import
fails at once, as the tests' starts of the server would tell.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any


def spare_documentation() -> None:
    """Of NumPy's functions in C, before NumPy is imported: their texts are a tenth of its import.

    As with `python -OO`, they have none then.
    """
    for name in ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars"):
        sys.modules.setdefault(name, ModuleType(name))


@contextlib.contextmanager
def uvicorn_without_its_command() -> Iterator[None]:
    """While uvicorn is imported in the block: its command line, a parser of options and the supervisors of its workers
    are half of it. Later `uvicorn.main` is there to be imported as ever."""
    if "uvicorn" in sys.modules:
        yield
        return
    sys.modules["uvicorn.main"] = _Main("uvicorn.main")
    try:
        yield
    finally:
        del sys.modules["uvicorn.main"]


class _Main(ModuleType):
    """The server is the one thing of it that is wanted."""

    def __getattr__(self, name: str) -> Any:
        if name == "Server":
            return importlib.import_module("uvicorn.server").Server
        if name in {"main", "run"}:
            return None
        raise AttributeError(name)
