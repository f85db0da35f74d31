"""Redis' side of the flush: what waits becomes a batch under a lease; a batch is dropped, cut, or set aside."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from talentfeed.activity import keys, scripts
from talentfeed.activity.quarantine import Quarantined

log = logging.getLogger(__name__)

PAGE = 200  # users looked at in one step


@dataclass(frozen=True, slots=True)
class Batch:
    """Claimed activities as they are stored. What is in a batch never changes."""

    id: str
    payloads: Sequence[bytes]  # oldest first within each user
    users: frozenset[int] = frozenset()  # whose they are, or may be, where it was just claimed


class Batches:
    """Each method is one atomic step. All raise redis.RedisError or OSError; then the step was done or was not."""

    def __init__(self, redis: Redis, *, lease: float, threshold: int) -> None:
        """`lease`: seconds after which anybody may take over a batch; `threshold`: as the recorder's."""
        self._redis = redis
        self._lease = lease
        self._threshold = threshold
        self.foreign = 0  # users and entries set aside since they are none of ours
        self._claim = redis.register_script(scripts.CLAIM)
        self._expired = redis.register_script(scripts.EXPIRED)
        self._take_over = redis.register_script(scripts.TAKE_OVER)
        self._drop = redis.register_script(scripts.DROP)
        self._split = redis.register_script(scripts.SPLIT)
        self._quarantine = redis.register_script(scripts.QUARANTINE)
        self._keep = redis.register_script(scripts.KEEP)

    async def now(self) -> float:
        """Redis' own time, in seconds: what the index of waiting users is kept in.

        Not before what waits there already: the clock may have been set back since.
        """
        seconds, micros = await self._redis.time()
        found: Any = await self._redis.zrange(keys.WAITING, -1, -1, withscores=True)
        newest = float(found[0][1]) if found else 0.0
        return max(float(seconds) + float(micros) / 1e6, newest)

    async def users(self, *, until: float) -> list[int]:
        """Up to `PAGE` users with something waiting since `until` or before, longest first."""
        while True:
            found: Any = await self._redis.zrangebyscore(keys.WAITING, "-inf", until, start=0, num=PAGE)
            users = _users(found)
            if len(users) < len(found):
                self._set_aside(await self._redis.zrem(keys.WAITING, *(set(found) - {b"%d" % user for user in users})))
            if users or not found:
                return users

    async def full_users(self) -> list[int]:
        """Up to `PAGE` users at or above the threshold."""
        while True:
            found: Any = await self._redis.srandmember(keys.FULL, PAGE)
            users = _users(found)
            if len(users) < len(found):
                self._set_aside(await self._redis.srem(keys.FULL, *(set(found) - {b"%d" % user for user in users})))
            if users or not found:
                return users

    def _set_aside(self, count: int) -> None:
        self.foreign += count
        log.error("%d entries of `%s` and `%s` are no users; they are removed", count, keys.WAITING, keys.FULL)

    async def oldest_waiting(self) -> float | None:
        """Since when the longest waiting activity waits, at most."""
        found: Any = await self._redis.zrange(keys.WAITING, 0, 0, withscores=True)
        return float(found[0][1]) if found else None

    async def claim(self, batch_id: str, users: Sequence[int], most: int) -> Batch | None:
        """Move up to `most` of these users' oldest activities into a new batch. None: nothing was waiting.

        A user whose key holds something else than ours is left out, and out of the indexes.
        """
        names = [keys.WAITING, keys.FULL, keys.FLUSHING, keys.batch(batch_id)]
        names += [keys.user_activity(user) for user in users]
        found, foreign, asked = await self._claim(
            keys=names, args=[batch_id, most, self._lease, self._threshold, *users]
        )
        if foreign:
            self.foreign += len(foreign)
            told = ", ".join(keys.user_activity(int(user)) for user in foreign[:10])
            log.error("%d users' keys hold something else than activities; remove them: %s", len(foreign), told)
        return Batch(batch_id, found, frozenset(users[:asked])) if found else None

    async def expired(self, most: int = 100) -> list[str]:
        """Batches whose holder has not come back."""
        found = await self._expired(keys=[keys.FLUSHING], args=[most, self._lease])
        return [name.decode() for name in found]

    async def take_over(self, batch_id: str, *, ours: bool = False) -> Batch | None:
        """Hold a batch whose lease is over, or one of ours. None: it is done, or another's."""
        names = [keys.FLUSHING, keys.batch(batch_id)]
        found = await self._take_over(keys=names, args=[batch_id, self._lease, int(ours)])
        return Batch(batch_id, found) if found else None

    async def drop(self, batch_id: str) -> None:
        """The database has it."""
        await self._drop(keys=[keys.FLUSHING, keys.batch(batch_id)], args=[batch_id])

    async def split(self, batch: Batch, pieces: Sequence[Batch], ranks: Sequence[Sequence[int]]) -> bool:
        """Cut a batch into `cut(batch, ranks)`, each under our lease. False: another has cut or ended it."""
        args: list[str | int | float] = [batch.id, self._lease]
        for piece, places in zip(pieces, ranks, strict=True):
            args += [piece.id, len(places), *places]
        names = [keys.FLUSHING, keys.batch(batch.id), *(keys.batch(piece.id) for piece in pieces)]
        return bool(await self._split(keys=names, args=args))

    async def quarantine(self, batch: Batch, reason: str, *, at: float) -> bool:
        """Set a batch of one activity aside, with the reason. False: another has ended it."""
        entry = Quarantined(batch.id, reason, at, batch.payloads[0].decode("utf-8", "backslashreplace"))
        names = [keys.FLUSHING, keys.batch(batch.id), keys.QUARANTINED]
        return bool(await self._quarantine(keys=names, args=[batch.id, msgspec.json.encode(entry)]))

    async def keep(self, *, ttl: int) -> None:
        """Give what waits its whole life again: while the database is away nothing may expire."""
        start = 0
        while True:
            users: Any = await self._redis.zrange(keys.WAITING, start, start + PAGE - 1)
            if not users:
                return
            await self._keep(keys=[keys.user_activity(user) for user in _users(users)], args=[ttl])
            start += PAGE

    async def waiting_users(self) -> int:
        """How many users have something waiting."""
        return int(await self._redis.zcard(keys.WAITING))


async def still_open(redis: Redis, batch_ids: Sequence[str]) -> set[str]:
    """Those that are in Redis: somebody is at them, or will be. Once gone, a batch never comes back."""
    async with redis.pipeline(transaction=False) as pipe:
        for batch_id in batch_ids:
            pipe.zscore(keys.FLUSHING, batch_id)
        leases: Any = await pipe.execute()
    return {batch_id for batch_id, lease in zip(batch_ids, leases, strict=True) if lease is not None}


def _users(found: Iterable[bytes]) -> list[int]:
    """The members that are user ids as we write them."""
    return [int(text) for text in found if text.isdigit() and len(text) < 20 and (text[:1] != b"0" or text == b"0")]


def halves(size: int) -> list[Sequence[int]]:
    """The ranks of a batch of `size` > 1 as two pieces."""
    return [range(size // 2), range(size // 2, size)]


def cut(batch: Batch, ranks: Sequence[Sequence[int]]) -> list[Batch]:
    """A batch's pieces, each by the ranks of what is in it. Their ids derive from the batch's."""
    return [Batch(f"{batch.id}.{n}", [batch.payloads[rank] for rank in piece]) for n, piece in enumerate(ranks)]
