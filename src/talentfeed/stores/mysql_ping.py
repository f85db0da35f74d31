"""Whether MySQL answers and has our tables, asked without SQLAlchemy: who serves feeds never needs more of it."""

import asyncio
import contextlib
from typing import Any

import asyncmy
import asyncmy.errors

from talentfeed.stores.faults import LEDGER, fault
from talentfeed.stores.mysql import ANSWER_SECONDS, Account, explained

_ASKED = (f"SELECT batch_id FROM {LEDGER} LIMIT 1", "SELECT id FROM activity_log LIMIT 1")  # noqa: S608 - our own names


class MysqlPing:
    """One connection of its own, kept while it works. One caller at a time is let through."""

    def __init__(self, account: Account, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._account = account
        self._patience = answer_seconds
        self._connection: Any = None
        self._turn = asyncio.Lock()

    async def ping(self) -> None:
        """Returns where it answers and has our tables; raises as `stores.database.ActivityLog.ping` does."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._patience):
                    await self._ask()
            except (asyncmy.errors.Error, OSError) as error:  # a timeout is one of the latter
                cause = error
                if isinstance(error, TimeoutError):
                    cause = TimeoutError(f"no answer within {self._patience:g} s")
                raise fault(explained(cause, self._account), cause) from error

    async def _ask(self) -> None:
        kept = self._connection is not None
        try:
            await self._asked()
        except (asyncmy.errors.Error, OSError):
            if not kept:
                raise
            await self._asked()  # what was kept may have been over: the server was started anew

    async def _asked(self) -> None:
        """A connection that an answer did not end well on is not kept."""
        connection, self._connection = self._connection, None
        if connection is None:
            # no transaction: it would hold the tables against whoever alters them
            connection = await asyncmy.connect(**self._account.arguments(), autocommit=True)
        try:
            async with connection.cursor() as cursor:
                for sql in _ASKED:
                    await cursor.execute(sql)
                    await cursor.fetchall()
        except BaseException:  # also of a caller that gave up: an answer under way would be taken for the next one's
            connection.close()
            raise
        self._connection = connection

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(asyncmy.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await connection.ensure_closed()
