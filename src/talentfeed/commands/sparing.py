"""What a start of the server spares: modules that libraries import and nobody who serves uses, methods nobody calls.

A package takes what is put in `sys.modules` for the module. Another version of it may want more: then the import
fails at once, as the tests' starts of the server would tell.
"""

import contextlib
import dataclasses
import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

_SELDOM = frozenset({"__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"})


def spare_documentation() -> None:
    """Of NumPy's functions in C, before NumPy is imported: their texts are a tenth of its import.

    As with `python -OO`, they have none then.
    """
    for name in ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars"):
        sys.modules.setdefault(name, ModuleType(name))


def spare_methods() -> None:
    """Of dataclasses, from now on: comparing, hashing, showing and refusing changes is compiled when it is first done.

    A start defines some 140 dataclasses, of libraries most. Before Python 3.13 each method of theirs is compiled
    by itself, which is an eighth of all that importing takes.
    """
    compiled: Callable[..., Any] | None = getattr(dataclasses, "_create_fn", None)
    if compiled is None:  # Python 3.13 and later
        return

    def made(name: str, *how: Any, **more: Any) -> Any:
        return (
            _when_called(name, lambda: compiled(name, *how, **more))
            if name in _SELDOM
            else compiled(name, *how, **more)
        )

    dataclasses._create_fn = made  # type: ignore[attr-defined]


def _when_called(name: str, make: Callable[[], Any]) -> Any:
    """A method that makes itself when it is first called, and then stands in its class."""
    method: Any = None

    def first(self: Any, *others: Any) -> Any:
        nonlocal method
        if method is None:
            method = make()
        for owner in type(self).__mro__:
            if owner.__dict__.get(name) is first:
                setattr(owner, name, method)
        return method(self, *others)

    first.__name__ = name  # by which a class takes it in
    return first


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
