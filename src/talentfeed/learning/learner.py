"""Feedback → the next policy. Any number of learners may die anywhere, each impression counts once. docs/learning.md"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed import impressions
from talentfeed.contracts import SECONDS_PER_DAY
from talentfeed.errors import PolicyError
from talentfeed.learning import increments, payloads, scripts, sums
from talentfeed.learning.increments import Judged, Learned
from talentfeed.learning.policies import INCREMENTS, TALLY, Head, Policies
from talentfeed.learning.sums import Sums
from talentfeed.ranking.presets import Preset

log = logging.getLogger(__name__)

JUDGED = "judged"  # list: feeds whose rewards are known, for `talentfeed compare`; the newest at the end
JUDGED_KEPT = 20_000  # about 20 MB
USERS = 100  # at once
FOLDED = 500  # increments at once
FOLDS = 10  # versions at once, where more wait
LEASE = 30.0  # seconds for which others leave a user alone
FORGET_SECONDS = 3_600.0  # between ticks of forgetting
IDLE = 1.0  # seconds between looks
LONGEST_PAUSE = 15.0
_TICK = "policy:tick"  # string: somebody folds now


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How it is learned."""

    window: float  # seconds after which an impression's reward is settled
    update_seconds: float  # between versions
    half_life_days: float  # of what was learned; 0: nothing is forgotten


class Learner:
    """`step` consumes feeds, `fold` makes a version of what came of them, `run` does both for ever."""

    def __init__(
        self,
        redis: Redis,
        rules: Rules,
        preset: Preset,
        *,
        lease: float = LEASE,
        warm: Callable[[], Sums | None] = lambda: None,
    ) -> None:
        """`warm`: what history says before anything is learned; called in a thread, once in the life of a store."""
        self._redis = redis
        self._rules = rules
        self._lease = lease
        self._warm = warm
        self.policies = Policies(redis, preset)
        self._shape = self.policies.shape
        self._due_script = redis.register_script(scripts.DUE)
        self._commit_script = redis.register_script(scripts.COMMIT)
        self._told: set[str] = set()
        self._begun = False

    # ------------------------------------------------------------ from feeds to increments

    async def step(self) -> int:
        """Learn from some feeds whose window is over. → how many feeds were consumed, here, once."""
        users, now = await self._due()
        if not users:
            return 0
        stored = await self._read(users)
        learned: list[Learned] = []
        empty: list[int] = []
        for user_id, (feeds, told) in zip(users, stored, strict=True):
            found = increments.of_user(user_id, feeds, told, shape=self._shape, now=now, window=self._rules.window)
            if found is not None:
                learned.append(found)
            elif not feeds:  # they have expired
                empty.append(user_id)
        if not learned and not empty:
            return 0
        total = increments.add_up(learned, self._shape)
        if await self._commit(learned, empty, total):
            return sum(one.consumed.feeds for one in learned)
        # one of the users was somebody else's after all: each alone, so that the others are not held up
        done = 0
        for one in learned if len(learned) > 1 else ():
            if await self._commit([one], [], increments.add_up([one], self._shape)):
                done += one.consumed.feeds
        return done

    async def _due(self) -> tuple[list[int], float]:
        found, now = await self._due_script(keys=[impressions.WAITING], args=[USERS, self._lease])
        return [int(user) for user in found], float(now)

    async def _read(self, users: Sequence[int]) -> list[tuple[list[bytes], bytes | None]]:
        async with self._redis.pipeline(transaction=False) as together:
            for user_id in users:
                together.lrange(impressions.shown(user_id), 0, -1)
                together.get(impressions.outcomes(user_id))
            found: list[Any] = await together.execute()
        return list(zip(found[::2], found[1::2], strict=True))

    async def _commit(self, learned: Sequence[Learned], empty: Sequence[int], total: Sums | None) -> bool:
        """The increment is in and its feeds are gone, or neither."""
        judged = await self._judged(learned)
        names = [impressions.WAITING, INCREMENTS, TALLY, JUDGED]
        args: list[Any] = [
            b"" if total is None else payloads.encode(total),
            0 if total is None else total.impressions,
            repr(0.0 if total is None else total.reward),
            sum(one.refused for one in learned),
            JUDGED_KEPT,
            len(judged),
            *judged,
        ]
        for one in learned:
            names.append(impressions.shown(one.consumed.user_id))
            args += [one.consumed.user_id, one.consumed.feeds, one.consumed.oldest, one.consumed.newest]
        for user_id in empty:
            names.append(impressions.shown(user_id))
            args += [user_id, 0, b"", b""]
        return bool(await self._commit_script(keys=names, args=args))

    async def _judged(self, learned: Sequence[Learned]) -> list[bytes]:
        """The feeds as they can be ranked again, with their rewards; those whose record is still kept."""
        rows = [one for user in learned for one in user.rows]
        if not rows:
            return []
        records: Any = await self._redis.mget([f"feed:{one.feed_id}" for one in rows])
        return [
            msgspec.msgpack.encode(Judged(one.feed_id, record, np.round(one.reward, 6).tolist()))
            for one, record in zip(rows, records, strict=True)
            if record is not None
        ]

    # ------------------------------------------------------------ from increments to versions

    async def fold(self) -> str | None:
        """Make a version of the increments that wait, forgetting when it is time. → its name; None: nothing to do.

        Two who fold at once fold the same increments into the same version: the second finds its number gone.
        """
        head = await self.policies.head()
        waiting = await self.policies.increments(FOLDED)
        gamma, forgot_at = self._forgetting(head, await self._now())
        if not waiting and gamma == 1.0:
            return None
        base = await self.policies.read(head.learned)
        state, refused = payloads.folded(base if gamma == 1.0 else sums.weighed(base, gamma), waiting, self._shape)
        for why in refused:
            log.error("An increment is refused, its impressions teach nothing: %s", why)
        return await self.policies.publish(head, state, folded=len(waiting), refused=len(refused), forgot_at=forgot_at)

    def _forgetting(self, head: Head, now: float) -> tuple[float, float | None]:
        """What is left of the base, and when it was last reduced; None: as before."""
        if not self._rules.half_life_days:
            return 1.0, None
        if head.forgot_at is None:
            return 1.0, now
        past = now - head.forgot_at
        if past < FORGET_SECONDS:
            return 1.0, None
        return 0.5 ** (past / (self._rules.half_life_days * SECONDS_PER_DAY)), now

    async def _now(self) -> float:
        seconds, micros = await self._redis.time()
        return float(seconds) + float(micros) / 1e6

    async def begin(self) -> str | None:
        """The first version, from history. → its name; None: there is one already, or no history."""
        if self._begun:
            return None
        head = await self.policies.head()
        self._begun = True
        known = None if head.number else await asyncio.to_thread(self._warm)
        if known is None:
            return None
        made = await self.policies.publish(head, known)
        if made is not None:
            log.info("Policy %s: what history says, with the weight of %.0f impressions", made, _weight(known))
        return made

    # ------------------------------------------------------------ for ever

    async def run(self, *, idle: float = IDLE) -> None:
        """Until cancelled, whatever goes wrong in between."""
        pause = idle
        while True:
            try:
                await self.begin()
                until, busy = time.monotonic() + self._rules.update_seconds, False
                while await self.step():
                    busy = True
                    if time.monotonic() >= until:
                        break
                if await self._my_turn():
                    for _ in range(FOLDS):
                        if (version := await self.fold()) is None:
                            break
                        log.info("Policy %s", version)
                pause = 0.0 if busy else idle
                self._told.clear()
            except (RedisError, OSError, PolicyError) as error:
                self._tell(f"Learning waits: {str(error) or type(error).__name__}")
                pause = min(2 * max(pause, idle), LONGEST_PAUSE)
            except Exception:
                log.exception("Learning failed; it is tried again")
                pause = LONGEST_PAUSE
            await asyncio.sleep(pause)

    async def _my_turn(self) -> bool:
        """One tick for all learners. Who dies in it costs one interval."""
        life = max(int(self._rules.update_seconds * 1000), 1)
        return bool(await self._redis.set(_TICK, "1", nx=True, px=life))

    async def finish(self) -> None:
        """Learn and fold what can be; for a store that ends with its process."""
        with contextlib.suppress(RedisError, OSError, PolicyError):
            while await self.step():
                pass
            await self.fold()

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            log.warning("%s", what)


def _weight(known: Sums) -> float:
    return max((one.weight for one in known.bandits.values()), default=0.0)
