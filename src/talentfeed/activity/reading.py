"""Reading Redis for requests: within a budget of time, and not at all while Redis is away.

What is judged is Redis, not this process: time in which the event loop was busy with something else does not count.
"""

import asyncio
import contextvars
import functools
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from talentfeed.activity import answers
from talentfeed.asking import Commands

log = logging.getLogger(__name__)

Found = list[Any] | Exception  # an answer a command, or the error of them all

MISSES = 3  # in a row, after which Redis is away
SLICES = 10  # of a budget: an answer is given up after so many turns of the loop at least, however late they came
HASTY_SLICES = 2  # after one miss the next gets this part of the budget
FIRST_PROBE = 0.05  # seconds
_NOBODYS = contextvars.Context()  # what concerns all requests is not told as the first one's


class Line(Protocol):
    """What leads to Redis. `stores.lines` has them."""

    @property
    def connected(self) -> bool:
        """Whether who asks now need not wait for a connection, which has a limit of its own."""
        ...

    def ask(self, commands: Commands, told: Callable[[Found], None]) -> None:
        """Returns at once; `told` is called once, later, unless the line is dropped before."""
        ...

    def drop(self) -> None:
        """Let the connection go, and forget who waits for an answer on it."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Ask:
    commands: Commands
    answer: asyncio.Future[list[Any] | None]
    since: int  # slices that had gone by


class Reads:
    """One an event loop. Redis counts as away once it refuses, or misses its budget several times in a row; then
    requests do without it at once, and a probe beside them tells when it is back."""

    def __init__(self, line: Line, *, budget: float | None, rest: float) -> None:
        """Seconds: `budget` that an answer may take, None without limit; `rest` between probes, at most."""
        self._line = line
        self._slice = None if budget is None else budget / SLICES
        self._rest = rest
        self._pending: deque[_Ask] = deque()
        self._gone_by = 0  # slices, while somebody waits
        self._watch: asyncio.TimerHandle | None = None
        self._misses = 0
        self._probe: asyncio.Task[None] | None = None
        self.foreign = 0  # answers left out since a key holds something else than ours

    @property
    def away(self) -> bool:
        """Whether Redis counts as away now."""
        return self._probe is not None

    async def ask(self, commands: Commands) -> list[Any] | None:
        """An answer a command; None in place of one whose key is of another type. None at all: Redis is away."""
        if self._probe is not None:
            return None
        loop = asyncio.get_running_loop()
        ask = _Ask(commands, loop.create_future(), self._gone_by)
        self._pending.append(ask)
        if self._watch is None and self._slice is not None:
            self._watch = loop.call_later(self._slice, self._look, context=_NOBODYS)
        self._line.ask(commands, functools.partial(self._told, ask))
        return await ask.answer

    async def close(self) -> None:
        """End what is under way; reads that wait do without."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe], timeout=1.0)
        await self._line.close()
        self._do_without()

    # ------------------------------------------------------------ answers

    def _told(self, ask: _Ask, found: Found) -> None:
        if not ask.answer.done():  # else it was given up, and says nothing of how quick Redis is now
            try:
                answer = self._sound(found)
            except (RedisError, OSError) as error:
                ask.answer.set_result(None)
                self._missed(error, ask.commands)
            else:
                self._misses = 0
                ask.answer.set_result(answer)
        self._forget_done()

    def _sound(self, found: Found) -> list[Any]:
        """Raises RedisError, OSError."""
        if isinstance(found, Exception):
            raise found
        for place, answer in enumerate(found):
            if isinstance(answer, Exception):
                if not answers.is_wrong_type(answer):
                    raise answer
                self.foreign += 1
                found[place] = None
        return found

    def _forget_done(self) -> None:
        pending = self._pending
        while pending and pending[0].answer.done():
            pending.popleft()

    def _look(self) -> None:
        """A slice has gone by; one that ends late counts as one all the same."""
        assert self._slice is not None  # noqa: S101 - else nobody looks
        self._gone_by += 1
        self._forget_done()
        while self._pending:
            oldest, most = self._pending[0], HASTY_SLICES if self._misses else SLICES
            if self._gone_by - oldest.since <= most:
                break
            self._pending.popleft()
            if not oldest.answer.done():
                oldest.answer.set_result(None)
                self._missed(
                    TimeoutError(
                        f"no answer to {MISSES} reads in a row: to the first within {SLICES * self._slice:g} s, "
                        f"to each one after it within {HASTY_SLICES * self._slice:g} s"
                    ),
                    oldest.commands,
                )
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(self._slice, self._look, context=_NOBODYS) if self._pending else None

    # ------------------------------------------------------------ away, and back

    def _missed(self, error: Exception, commands: Commands) -> None:
        self._misses += 1
        slow = isinstance(error, (TimeoutError, RedisTimeoutError))
        if self.away or (slow and self._misses < MISSES):
            return
        log.warning("Redis does not answer (%s); feeds go on without sessions", answers.told(error))
        self._probe = asyncio.create_task(self._until_back(commands), name="redis-probe", context=_NOBODYS)
        self._line.drop()
        self._do_without()

    def _do_without(self) -> None:
        while self._pending:
            ask = self._pending.popleft()
            if not ask.answer.done():
                ask.answer.set_result(None)

    async def _until_back(self, commands: Commands) -> None:
        """Ask the same again until there is an answer: a ping may get one where reading is refused."""
        began, pause = time.monotonic(), min(FIRST_PROBE, self._rest)
        try:
            while True:
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._rest)
                try:
                    self._sound(await self._answered(commands))
                except (RedisError, OSError):  # TimeoutError is an OSError
                    self._line.drop()
                    continue
                break
        finally:
            self._probe, self._misses = None, 0
        log.info("Redis answers again after %.1f s; feeds have their sessions back", time.monotonic() - began)

    async def _answered(self, commands: Commands) -> Found:
        """Raises TimeoutError."""
        answer: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._line.ask(commands, lambda found: None if answer.done() else answer.set_result(found))
        for _ in range(SLICES):
            await asyncio.wait([answer], timeout=self._slice)
            if answer.done():
                return answer.result()
        raise TimeoutError
