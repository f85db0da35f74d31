"""Scripts that Redis runs, called over a line of their own: a general client's call costs as much as storing three
feeds.

Called as a client's are: the same arguments, the same errors.
"""

import asyncio
import contextvars
import functools
import hashlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from talentfeed.activity.reading import Found, Line
from talentfeed.asking import Commands, Word

TIMEOUT = 1.0  # seconds
_NOBODYS = contextvars.Context()


class LineScript:
    """A script. One call at a time, of all scripts that share a line: who gives one up gives the line up."""

    def __init__(self, line: Line, text: str, *, timeout: float = TIMEOUT) -> None:
        """`timeout`: seconds that an answer may take once there is a connection; one that comes while this process was
        busy is not late."""
        self._line = line
        self._text = text
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._half = timeout / 2
        self._watch: asyncio.TimerHandle

    async def __call__(self, *, keys: Sequence[str], args: Sequence[Word]) -> Any:
        """What the script returns. Raises RedisError, OSError; it may have run then, and may still run."""
        call = ("EVALSHA", self._sha, len(keys), *keys, *args)
        (answer,) = await self._asked([call])
        if _is_unknown(answer):  # Redis was started anew, or told to forget its scripts
            loaded, answer = await self._asked([("SCRIPT", "LOAD", self._text), call])
            answer = loaded if isinstance(loaded, Exception) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _asked(self, commands: Commands) -> list[Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Found | None] = loop.create_future()
        self._watch = loop.call_later(self._half, self._look, answer, 1, context=_NOBODYS)
        found: Found | None = None
        try:
            self._line.ask(commands, functools.partial(_tell, answer))
            found = await answer
        finally:
            self._watch.cancel()
            if found is None:
                self._line.drop()  # nobody waits for what comes now
        if found is None:
            raise RedisTimeoutError(f"no answer within {2 * self._half:g} s")
        if isinstance(found, Exception):
            raise found
        return found

    def _look(self, answer: asyncio.Future[Found | None], number: int) -> None:
        """Twice, since time in which the loop was busy does not count: what lay there meanwhile is read in between.
        Nor does time in which a connection is made."""
        if number < 2 or not self._line.connected:
            following = number + 1 if self._line.connected else 0
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(self._half, self._look, answer, following, context=_NOBODYS)
        elif not answer.done():
            answer.set_result(None)


def _tell(answer: asyncio.Future[Found | None], found: Found) -> None:
    if not answer.done():
        answer.set_result(found)


def _is_unknown(answer: object) -> bool:
    return isinstance(answer, ResponseError) and (
        isinstance(answer, NoScriptError) or str(answer).startswith("NOSCRIPT")
    )
