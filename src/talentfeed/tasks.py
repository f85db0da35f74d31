"""Ending tasks in Python 3.11: its `wait_for`, which Redis clients use, drops a cancellation that meets an answer."""

import asyncio
from typing import Any


def obey_cancellation() -> None:
    """For loops: raise CancelledError where the current task was cancelled and did not notice."""
    if (task := asyncio.current_task()) is not None and task.cancelling():
        raise asyncio.CancelledError


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancel until it is done."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
