"""A store whose libraries are imported when it is first used: SQLAlchemy takes a third of a second."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class OnUse:
    """Stands for what `make` returns. Every attribute is an async method of it; the first call makes it, in a thread.

    `close` of what was never made does nothing. Calls raise what `make` or the method raises.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: asyncio.Task[Any] | None = None

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        if name.startswith("_"):
            raise AttributeError(name)

        async def call(*args: Any, **named: Any) -> Any:
            return await getattr(await self.get(), name)(*args, **named)

        return call

    async def close(self) -> None:
        """Close it, where it was made."""
        if self._made is not None:
            await (await self.get()).close()

    async def get(self) -> Any:
        """The store itself, made now where it was not yet."""
        if self._made is None or (self._made.done() and (self._made.cancelled() or self._made.exception())):
            self._made = asyncio.create_task(asyncio.to_thread(self._make))
        return await asyncio.shield(self._made)
