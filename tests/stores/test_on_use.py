"""What is imported on first use is made once, whoever asks first, and again where making it failed."""

import asyncio
from typing import Any

import pytest

from talentfeed.stores.on_use import OnUse

pytestmark = pytest.mark.anyio


class Store:
    closed = False

    async def double(self, number: int, *, plus: int = 0) -> int:
        return 2 * number + plus

    async def close(self) -> None:
        self.closed = True


async def test_it_is_made_once_by_the_first_calls() -> None:
    made: list[Store] = []

    def make() -> Store:
        made.append(Store())
        return made[-1]

    store = OnUse(make)
    assert not made
    assert list(await asyncio.gather(store.double(1), store.double(2, plus=1))) == [2, 5]
    assert len(made) == 1
    await store.close()
    assert made[0].closed


async def test_closing_what_was_never_used_makes_nothing() -> None:
    made: list[Any] = []
    await OnUse(lambda: made.append(1)).close()
    assert not made


async def test_what_could_not_be_made_is_tried_again() -> None:
    faults = [OSError("no such library")]

    def make() -> Store:
        if faults:
            raise faults.pop()
        return Store()

    store = OnUse(make)
    with pytest.raises(OSError, match="no such library"):
        await store.double(1)
    assert await store.double(1) == 2


async def test_a_caller_that_leaves_does_not_keep_others_from_it() -> None:
    store = OnUse(Store)
    leaving = asyncio.create_task(store.double(1))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await store.double(3) == 6
