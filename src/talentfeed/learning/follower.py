"""Keeps a serving process at the policy that it is to serve: within seconds, off the requests' way."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed import impressions
from talentfeed.contracts import Policy
from talentfeed.errors import TalentFeedError
from talentfeed.learning.policies import INITIAL, Head, Policies
from talentfeed.tasks import obey_cancellation

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.5  # between looks: one small read


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where learning stands, as one process last saw it."""

    head: Head
    tally: Mapping[str, float]  # counters since the store began
    lag: float  # seconds that the oldest settled feed has waited to be learned from


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the policy that is to be served is not, and since when (seconds since 1970, UTC)."""

    reason: str
    since: float


class Follower:
    """Looks, reads, hands over. What cannot be adopted leaves the present policy in place."""

    def __init__(
        self,
        redis: Redis,
        policies: Policies,
        *,
        online: bool,
        learning: bool,
        adopt: Callable[[Policy], None],
        changed: Callable[[Head], Awaitable[None]] | None = None,
    ) -> None:
        """`online`: the newest that was learned is served, else what an operator chose. `learning`: progress is
        followed too. `adopt` is called in a thread and raises what it cannot serve. `changed`: called after the head
        has moved."""
        self._redis = redis
        self._policies = policies
        self._online = online
        self._learning = learning
        self._adopt = adopt
        self._changed = changed
        self._number = 0
        self.version = INITIAL
        self.progress: Progress | None = None
        self.fault: Fault | None = None
        self.updates = 0  # policies that were adopted
        self._refused: str | None = None

    async def look(self) -> bool:
        """Adopt the policy that is to be served where it is another one. → whether it was.

        Raises RedisError, OSError where the store does not answer, TalentFeedError where it holds what cannot be read.
        """
        head = await self._policies.head()
        wanted = head.learned if self._online else head.served
        moved = wanted not in (self.version, self._refused)
        if moved:
            try:
                policy = await self._policies.policy(wanted)
                await asyncio.to_thread(self._adopt, policy)
            except TalentFeedError as error:
                self._refused = wanted
                self._wrong(f"Policy {wanted} is not served, {self.version} goes on: {error}")
            else:
                self.version, self._refused, self.fault = wanted, None, None
                self.updates += 1
                log.info("Serving policy %s", wanted)
        elif wanted == self.version:
            self._refused = self.fault = None
        if self._changed is not None and head.number != self._number:
            await self._changed(head)
        self._number = head.number
        if self._learning:
            self.progress = Progress(head=head, tally=await self._policies.tally(), lag=await self._lag())
        return moved and self.version == wanted

    async def _lag(self) -> float:
        oldest: Any = await self._redis.zrange(impressions.WAITING, 0, 0, withscores=True)
        return max(time.time() - float(oldest[0][1]), 0.0) if oldest else 0.0

    async def watch(self) -> None:
        """Until cancelled, whatever goes wrong in between."""
        while True:
            try:
                await self.look()
            except (RedisError, OSError):
                self.progress = None  # who looks after the stores says so
            except TalentFeedError as error:
                self._wrong(str(error))
            except Exception:
                log.exception("Looking for a policy failed")
            obey_cancellation()
            await asyncio.sleep(LOOK_SECONDS * random.uniform(0.9, 1.1))

    def _wrong(self, reason: str) -> None:
        if self.fault is None or self.fault.reason != reason:
            log.error("%s", reason)
            self.fault = Fault(reason, time.time())
