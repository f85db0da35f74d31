"""How often a client may call, counted in Redis for all processes together.

The generic cell rate algorithm (ITU-T I.371): a client has one number, the time when all its calls are paid for.
Each call moves it on by the time that a call is worth; a call that would move it too far ahead of now is refused.
"""

import asyncio
import logging
import time
from hashlib import blake2b

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

BURST_SECONDS = 10.0  # worth of calls that may come at once
BUDGET_SECONDS = 0.025  # that a request waits for the answer, at most
REST_SECONDS = 1.0  # in which nobody asks, after there was none

# KEYS: the client's. ARGV: milliseconds that a call is worth, milliseconds that calls may be ahead
# → 0: it may call; else the milliseconds after which it may
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local worth, ahead = tonumber(ARGV[1]), tonumber(ARGV[2])
local free = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0') or 0)
if free > now + ahead + 60000 then free = now end
local after = free + worth
if after - now > ahead then return math.ceil(after - now - ahead) end
redis.call('SET', KEYS[1], string.format('%.3f', after), 'PX', math.ceil(after - now) + 1000)
return 0
"""


class RateLimit:
    """One a process. Where Redis does not answer in time everybody may call, and `open_since` says so."""

    def __init__(self, redis: Redis, *, per_minute: int) -> None:
        self._take = redis.register_script(_TAKE)
        self._worth = 60_000.0 / per_minute
        self._ahead = max(self._worth, BURST_SECONDS * 1_000)
        self._resting_until = 0.0  # monotonic
        self.refused = 0
        self.unchecked = 0  # let through without having been counted
        self.open_since: float | None = None  # seconds since 1970 UTC; None: calls are counted

    async def wait(self, client: str) -> float:
        """Count a call of this client. → 0, or the seconds after which it may call again. Never raises for Redis."""
        if time.monotonic() < self._resting_until:
            self.unchecked += 1
            return 0.0
        try:
            async with asyncio.timeout(BUDGET_SECONDS):
                wait = int(await self._take(keys=[key(client)], args=[self._worth, self._ahead]))
        except (RedisError, OSError, TimeoutError) as error:
            self._resting_until = time.monotonic() + REST_SECONDS
            self.unchecked += 1
            if self.open_since is None:
                self.open_since = time.time()
                log.warning("The rate limit is open, as Redis does not answer: %s", type(error).__name__)
            return 0.0
        if self.open_since is not None:
            self.open_since = None
            log.info("The rate limit holds again")
        self.refused += wait > 0
        return wait / 1_000


def key(client: str) -> str:
    """Of a client's number in Redis; its address itself is not kept."""
    return f"rate:{blake2b(client.encode(errors='surrogateescape'), digest_size=16).hexdigest()}"
