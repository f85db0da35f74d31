"""The database beside Redis is the one that it is deployed with."""

import pytest
from redis.asyncio import Redis
from tests.contracts.fixtures import deployed_database as database

from talentfeed.activity.flush import Flusher
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.recorder import Recorder
from talentfeed.stores.database import ActivityLog

__all__ = ["database", "flusher", "recorder"]


@pytest.fixture
def recorder(redis: Redis) -> Recorder:
    return Recorder(redis, outbox=Outbox(capacity=100), threshold=10)


@pytest.fixture
def flusher(redis: Redis, activity_log: ActivityLog) -> Flusher:
    return Flusher(redis, activity_log, threshold=10)
