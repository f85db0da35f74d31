"""How much waits in Redis: for whoever watches. Cheap however much: beyond `SAMPLE` users it is estimated."""

import random
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from talentfeed.activity import keys

SAMPLE = 500  # users whose lists are counted


@dataclass(frozen=True, slots=True)
class Backlog:
    """What was found."""

    users: int  # with something waiting
    activities: int  # waiting; estimated where more than SAMPLE users have something
    batches: int  # being written, or left behind
    quarantined: int


async def look(redis: Redis) -> Backlog:
    """Ask Redis, in two round trips. Raises redis.RedisError, OSError."""
    async with redis.pipeline(transaction=False) as pipe:
        for name in (keys.WAITING, keys.FLUSHING):
            pipe.zcard(name)
        pipe.llen(keys.QUARANTINED)
        users, batches, quarantined = map(int, await pipe.execute())
    start = random.randint(0, max(0, users - SAMPLE))
    found: Any = await redis.zrange(keys.WAITING, start, start + SAMPLE - 1)
    async with redis.pipeline(transaction=False) as pipe:
        for user in found:
            pipe.llen(b"user_activity:" + user)  # as `keys.user_activity`, of members that may be no users
        counts = [count for count in await pipe.execute(raise_on_error=False) if isinstance(count, int)]
    activities = sum(counts)
    if users > len(found) > 0:
        activities = round(activities * users / len(found))
    return Backlog(users, activities, batches, quarantined)
