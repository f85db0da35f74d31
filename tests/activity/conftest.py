"""The database beside Redis is the one that it is deployed with."""

from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis
from tests.activity.parts import recording
from tests.contracts.fixtures import deployed_database as database

from talentfeed.activity.flush import Flusher
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.recorder import Recorder
from talentfeed.activity.sessions import Sessions
from talentfeed.stores.database import ActivityLog
from talentfeed.stores.redis import line_of

__all__ = ["SessionsMaker", "database", "flusher", "make_sessions", "recorder"]

SessionsMaker = Callable[..., Sessions]
GENEROUS = 5.0  # seconds: these tests are about what is read, not how fast


@pytest.fixture
async def make_sessions(redis: Redis) -> AsyncIterator[SessionsMaker]:
    """Makes readers of sessions, each on a connection of its own, which ends with the test."""
    made: list[Sessions] = []

    def make(outbox: Outbox | None = None, **more: object) -> Sessions:
        outbox = Outbox(capacity=1) if outbox is None else outbox
        settings: dict[str, object] = {"budget": GENEROUS, **more}
        made.append(Sessions(line_of(redis), outbox=outbox, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
def recorder(redis: Redis) -> Recorder:
    return Recorder(redis, line=recording(redis), outbox=Outbox(capacity=100), threshold=10)


@pytest.fixture
def flusher(redis: Redis, activity_log: ActivityLog) -> Flusher:
    return Flusher(redis, activity_log, threshold=10)
