"""Reading Redis for requests: all reads of a moment in one round trip, and none while Redis is away.

What is judged is Redis, not this process: time in which the event loop was busy with something else does not count.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from talentfeed.activity import answers

log = logging.getLogger(__name__)

Command = tuple[str | int, ...]

FLIGHTS = 4  # round trips at a time, so connections
ASKS = 64  # reads in one round trip
MISSES = 3  # in a row, after which Redis is away
HASTE = 5  # after one miss the next gets this part of the budget
SLICES = 10  # of a budget: an answer is given up after so many turns of the loop at least, however late they came
FIRST_PROBE = 0.05  # seconds


@dataclass(slots=True, eq=False)
class _Ask:
    commands: Sequence[Command]
    answer: asyncio.Future[list[Any] | None]


class Reads:
    """One an event loop. Redis counts as away once it refuses, or misses its budget several times in a row; then
    requests do without it at once, and a probe beside them tells when it is back."""

    def __init__(self, redis: Redis, *, budget: float | None, rest: float) -> None:
        """Seconds: `budget` that a round trip may take, None without limit; `rest` between probes, at most."""
        self._redis = redis
        self._budget = budget
        self._rest = rest
        self._waiting: deque[_Ask] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._given_up: set[asyncio.Future[Any]] = set()
        self._due = False
        self._misses = 0
        self._probe: asyncio.Task[None] | None = None
        self.foreign = 0  # answers left out since a key holds something else than ours

    @property
    def away(self) -> bool:
        """Whether Redis counts as away now."""
        return self._probe is not None

    async def ask(self, *commands: Command) -> list[Any] | None:
        """An answer a command; None in place of one whose key is of another type. None at all: Redis is away."""
        if self.away:
            return None
        loop = asyncio.get_running_loop()
        ask = _Ask(commands, loop.create_future())
        self._waiting.append(ask)
        if not self._due:
            self._due = True
            loop.call_soon(self._dispatch)
        return await ask.answer

    async def close(self) -> None:
        """End what is under way; reads that wait do without."""
        tasks = [*self._flights, *([self._probe] if self._probe else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        self._drop_waiting()

    # ------------------------------------------------------------ round trips

    def _dispatch(self) -> None:
        self._due = False
        while self._waiting and len(self._flights) < FLIGHTS:
            asks = [self._waiting.popleft() for _ in range(min(ASKS, len(self._waiting)))]
            flight = asyncio.create_task(self._fly(asks), name="reads")
            self._flights.add(flight)
            flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._dispatch()

    async def _fly(self, asks: Sequence[_Ask]) -> None:
        commands = [command for ask in asks for command in ask.commands]
        found: list[Any] | None = None
        try:
            found = await self._answers(commands, self._budget if not self._misses else self._hurried)
            self._misses = 0
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._missed(error, asks[0].commands)
        except Exception as error:
            log.exception("Reading sessions failed")
            self._missed(error, asks[0].commands)
        finally:  # also where it is cancelled: nobody waits for an answer that does not come
            for ask in asks:
                mine = None if found is None else [found.pop(0) for _ in ask.commands]
                if not ask.answer.done():
                    ask.answer.set_result(mine)

    @property
    def _hurried(self) -> float | None:
        return None if self._budget is None else self._budget / HASTE

    async def _answers(self, commands: Sequence[Command], budget: float | None) -> list[Any]:
        """Raises RedisError, OSError, TimeoutError."""
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        found = await self._within(budget, pipeline.execute(raise_on_error=False))
        for place, answer in enumerate(found):
            if answers.is_wrong_type(answer):
                self.foreign += 1
                found[place] = None
            elif isinstance(answer, Exception):
                raise answer
        return found

    async def _within(self, budget: float | None, call: Awaitable[list[Any]]) -> list[Any]:
        if budget is None:
            return await call
        answer = asyncio.ensure_future(call)
        try:
            for _ in range(SLICES):  # a slice that ends late counts as one all the same
                await asyncio.wait([answer], timeout=budget / SLICES)
                if answer.done():
                    return answer.result()
            raise TimeoutError(f"no answer within {budget:g} s")
        finally:
            if not answer.done():
                answer.cancel()
                self._given_up.add(answer)
                answer.add_done_callback(self._forget)

    def _forget(self, answer: asyncio.Future[Any]) -> None:
        self._given_up.discard(answer)
        if not answer.cancelled():
            answer.exception()  # looked at, so that asyncio does not complain

    # ------------------------------------------------------------ away, and back

    def _missed(self, error: Exception, commands: Sequence[Command]) -> None:
        self._misses += 1
        slow = isinstance(error, (TimeoutError, RedisTimeoutError))
        if self.away or (slow and self._misses < MISSES):
            return
        log.warning("Redis does not answer (%s); feeds go on without sessions", answers.told(error))
        self._probe = asyncio.create_task(self._until_back(commands), name="redis-probe")
        self._drop_waiting()

    def _drop_waiting(self) -> None:
        while self._waiting:
            ask = self._waiting.popleft()
            if not ask.answer.done():
                ask.answer.set_result(None)

    async def _until_back(self, commands: Sequence[Command]) -> None:
        """Ask the same again until there is an answer: a ping may get one where reading is refused."""
        began, pause = time.monotonic(), min(FIRST_PROBE, self._rest)
        try:
            while True:
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._rest)
                try:
                    await self._answers(commands, self._budget)
                except (RedisError, OSError):
                    continue
                break
        finally:
            self._probe, self._misses = None, 0
        log.info("Redis answers again after %.1f s; feeds have their sessions back", time.monotonic() - began)
