"""What the database refused and was set aside: for an operator to look at, to bring back, or to throw away."""

import zlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed.activity import answers, codec, keys, scripts
from talentfeed.errors import StoreUnavailableError

PAGE = 500  # entries read at a time


class Quarantined(msgspec.Struct, frozen=True):
    """An activity that was set aside."""

    batch_id: (
        str  # its own: it was the last of its batch. Cut from a batch of many, it begins with that one's id and `.`
    )
    reason: str
    at: float  # seconds
    payload: str  # as it was stored; bytes that are no UTF-8 as \\xNN

    def is_of(self, ids: Collection[str]) -> bool:
        """Whether one of the ids is its own, or of a batch it was cut from."""
        parts = self.batch_id.split(".")
        return any(".".join(parts[:n]) in ids for n in range(1, len(parts) + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is set aside now."""

    total: int
    entries: Sequence[Quarantined]  # the oldest first


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of the entries that were named."""

    done: int = 0
    kept: dict[str, str] = field(default_factory=dict)  # id → why it stays
    unknown: list[str] = field(default_factory=list)  # ids that nothing is set aside under


class Quarantine:
    """The list `quarantined`. All methods raise StoreUnavailableError where Redis does not answer."""

    def __init__(self, redis: Redis, *, threshold: int = 50) -> None:
        """`threshold`: as the recorder's."""
        self._redis = redis
        self._threshold = threshold
        self._requeue = redis.register_script(scripts.REQUEUE)

    async def listing(self, most: int = 100) -> Listing:
        """How many are set aside, and the oldest of them."""
        try:
            total = await self._total()
            found: Any = await self._redis.lrange(keys.QUARANTINED, 0, most - 1)
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        return Listing(total=total, entries=[_read(stored) for stored in found])

    async def requeue(self, ids: Collection[str] | None) -> Outcome:
        """Have these, or all, wait to be flushed again: once, be this repeated or run by several at a time.

        What is no activity stays: no database would ever take it.
        """
        outcome = Outcome()
        async for stored, entry in self._chosen(ids, outcome):
            try:
                user_id = codec.read(entry.payload).user_id
            except codec.UndecodableActivityError as error:
                outcome.kept[entry.batch_id] = str(error)
                continue
            names = [keys.QUARANTINED, keys.WAITING, keys.FULL, keys.user_activity(user_id)]
            try:
                outcome.done += int(
                    await self._requeue(keys=names, args=[stored, user_id, entry.payload, self._threshold])
                )
            except (RedisError, OSError) as error:
                if not answers.is_wrong_type(error):
                    raise _unavailable(error) from error
                outcome.kept[entry.batch_id] = answers.told(error)
        return outcome

    async def discard(self, ids: Collection[str] | None) -> Outcome:
        """Throw these, or all, away for good."""
        outcome = Outcome()
        async for stored, _ in self._chosen(ids, outcome):
            try:
                removed: Any = await self._redis.lrem(keys.QUARANTINED, 1, stored)  # type: ignore[arg-type]  # bytes do
            except (RedisError, OSError) as error:
                raise _unavailable(error) from error
            outcome.done += int(removed)
        return outcome

    async def _chosen(self, ids: Collection[str] | None, outcome: Outcome) -> AsyncIterator[tuple[bytes, Quarantined]]:
        """Those of the ids, of what is there now: what comes back meanwhile is not met again."""
        wanted = None if ids is None else set(ids)
        missing = set(wanted or ())
        chosen: list[tuple[bytes, Quarantined]] = []
        try:
            for start in range(0, await self._total(), PAGE):
                page: Any = await self._redis.lrange(keys.QUARANTINED, start, start + PAGE - 1)
                for stored in page:
                    entry = _read(stored)
                    if wanted is None or entry.is_of(wanted):
                        chosen.append((stored, entry))
                        missing -= {one for one in missing if entry.is_of([one])}
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        outcome.unknown = sorted(missing)
        for one in chosen:
            yield one

    async def _total(self) -> int:
        total: Any = self._redis.llen(keys.QUARANTINED)
        return int(await total)


def _read(stored: bytes) -> Quarantined:
    try:
        return msgspec.json.decode(stored, type=Quarantined)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        text = stored.decode("utf-8", "backslashreplace")
        return Quarantined(f"foreign-{zlib.crc32(stored):08x}", "It is no entry of this service", 0.0, text)


def _unavailable(error: Exception) -> StoreUnavailableError:
    return StoreUnavailableError(f"Redis does not answer ({answers.told(error)})")
