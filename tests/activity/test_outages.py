"""What a Redis in trouble costs: nothing that may still be stored is given up."""

import asyncio
import os
import signal
import time
from typing import Any

import pytest
from tests.activity.parts import feed, recording, reported
from tests.contracts.backends import Backend, RedisServer

from talentfeed.activity.flush import Flusher
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.recorder import Recorder
from talentfeed.errors import StoreUnavailableError
from talentfeed.stores.database import ActivityLog

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("setting", "value"), [("min-replicas-to-write", "1"), ("maxmemory", "1")])
async def test_a_redis_that_refuses_writes_for_a_while_loses_no_served_feed(
    redis_server: RedisServer, setting: str, value: str
) -> None:
    client = Backend("redis-server", real=redis_server).client()
    await client.flushall()
    recorder = Recorder(client, line=recording(client), outbox=Outbox(capacity=100))
    await recorder.start()
    before: Any = await client.config_get(setting)
    await client.config_set(setting, value)
    try:
        recorder.served(feed(7))
        await asyncio.sleep(0.2)
        with pytest.raises(StoreUnavailableError, match="may have been stored"):
            await recorder.report([reported(7, "e")])
    finally:
        await client.config_set(setting, before[setting])
    await recorder.stop()
    assert recorder.lost_served == 0
    assert await client.llen("user_activity:7") == 4
    await client.aclose()


async def test_stopping_beside_a_frozen_redis_keeps_to_its_patience(
    redis_server: RedisServer, activity_log: ActivityLog
) -> None:
    client = Backend("redis-server", real=redis_server).client()
    await client.flushall()
    recorder = Recorder(client, line=recording(client), outbox=Outbox(capacity=100))
    flusher = Flusher(client, activity_log, poll=0.01)
    await recorder.start()
    await flusher.start()
    await asyncio.sleep(0.1)
    assert redis_server.process is not None
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        recorder.served(feed(7))
        await asyncio.sleep(0.1)  # the flusher asks, and gets no answer
        began = time.perf_counter()
        await recorder.stop(patience=0.4)
        report = await flusher.stop(patience=0.6)
        took = time.perf_counter() - began
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)
    assert report.error is not None
    assert took < 30, "1 s, and what it takes to cancel"
    assert recorder.lost_served == 4
    await client.aclose()
