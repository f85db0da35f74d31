"""Another process' service, beside the flusher that is measured."""

import asyncio
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import uvloop
from benchmarks import served
from benchmarks.served import ACTIVITIES

from talentfeed.activity.outbox import Outbox
from talentfeed.activity.recorder import DRAIN, Recorder
from talentfeed.stores.redis import line_of, open_redis


def produce(port: int, most: int, recorded: "Synchronized[int]", flushed: "Synchronized[int]", stop: Any) -> None:
    """Another process' service: it records feeds as long as not too many wait."""
    uvloop.run(_record_on(port, most, recorded, flushed, stop))


async def _record_on(
    port: int, most: int, recorded: "Synchronized[int]", flushed: "Synchronized[int]", stop: Any
) -> None:
    client = open_redis(host="127.0.0.1", port=port)
    kitchen = served.prepare(seed=1)
    outbox = Outbox(capacity=2 * DRAIN)
    recorder = Recorder(client, outbox=outbox, line=line_of(client))
    await recorder.start()
    number = 0
    while not stop.is_set():
        recorded.value = recorder.recorded_feeds * ACTIVITIES
        if len(outbox) < DRAIN and recorded.value - flushed.value < most:
            for _ in range(DRAIN):
                recorder.served(kitchen.one(number))
                number += 1
        await asyncio.sleep(0.005)
    await recorder.stop(patience=60)
    assert recorder.lost_served == 0
    recorded.value = recorder.recorded_feeds * ACTIVITIES
    await client.aclose()
