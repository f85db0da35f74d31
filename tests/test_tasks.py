"""A cancellation that Python 3.11 drops is obeyed all the same."""

import asyncio
import contextlib

import pytest

from talentfeed.tasks import ended, obey_cancellation

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_loop_that_swallowed_its_cancellation_ends_at_the_next_look() -> None:
    rounds = 0

    async def loop() -> None:
        nonlocal rounds
        while rounds < 1_000:
            with contextlib.suppress(asyncio.CancelledError):  # as `wait_for` does
                await asyncio.sleep(3_600 if rounds == 0 else 0)
            rounds += 1
            obey_cancellation()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rounds == 1


async def test_a_task_is_cancelled_until_it_is_done() -> None:
    dropped = 0

    async def stubborn() -> None:
        nonlocal dropped
        while dropped < 2:
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                dropped += 1

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await ended(task)
    assert task.done()
    assert dropped == 2


async def test_nobody_who_was_not_cancelled_is_stopped() -> None:
    obey_cancellation()
    assert await asyncio.create_task(asyncio.sleep(0, "went on")) == "went on"
