"""Brings a claimed batch to its end: written and dropped, cut into pieces that are, or set aside."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from talentfeed.activity import codec
from talentfeed.activity.batches import Batch, Batches, cut, halves
from talentfeed.errors import BatchTooOldError, RowsRefusedError

log = logging.getLogger(__name__)

TRANSACTIONS = 2  # at a time: the database always has one to work at; a third was measured to gain nothing


class ActivityLog(Protocol):
    """Where activities end up. `stores.database` has the real one."""

    async def new_batch_id(self) -> str:
        """For a batch that is claimed now. Raises StoreUnavailableError, SourceError."""
        ...

    async def write(self, batch_id: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Ledger row and rows in one transaction. False: this batch was committed before.

        Raises RowsRefusedError (nothing is written: a row's content, or the batch was abandoned), BatchTooOldError
        (nothing is written now), StoreUnavailableError, SourceError (it may have been written).
        """
        ...

    async def abandon(self, batch_id: str) -> bool:
        """Nobody will ever write this batch whole: its pieces go on. False: it was committed before."""
        ...


class Writer:
    """One a flusher; any number of batches at a time. It raises what its stores do: the batch is in Redis then."""

    def __init__(self, batches: Batches, activity_log: ActivityLog, rows: codec.Rows) -> None:
        self._batches = batches
        self._log = activity_log
        self._rows = rows
        self._turns = asyncio.Semaphore(TRANSACTIONS)
        self.ours: set[str] = set()  # batches that may exist under our lease
        self.flushed = 0
        self.batches = 0
        self.quarantined = 0

    async def write(self, batch: Batch) -> None:
        """Bring a batch we hold to its end: written and dropped, cut into pieces that are, or set aside."""
        todo = [batch]
        while todo:
            one = todo.pop()
            self.ours.add(one.id)
            rows, broken = self._decode(one)
            if broken:
                todo += await self._isolate(one, broken, next(iter(broken.values())))
            else:
                try:
                    async with self._turns:
                        new = await self._log.write(one.id, rows)
                except RowsRefusedError as refusal:
                    todo += await self._isolate(one, broken, str(refusal))
                except BatchTooOldError:
                    todo += await self._renew(one)
                else:
                    await self._batches.drop(one.id)
                    self.batches += new
                    self.flushed += len(rows) if new else 0
            self.ours.discard(one.id)

    def _decode(self, batch: Batch) -> tuple[list[codec.Row], dict[int, str]]:
        """→ rows, and by rank why a payload is no activity."""
        rows, broken = [], {}
        for rank, payload in enumerate(batch.payloads):
            try:
                rows.append(self._rows.row(payload))
            except codec.UndecodableActivityError as error:
                broken[rank] = str(error)
        return rows, broken

    async def _isolate(self, batch: Batch, broken: Mapping[int, str], reason: str) -> list[Batch]:
        """The database refuses this batch: its pieces go on, under new ids. → the pieces to write.

        Abandoning it in the ledger comes first: from then on nobody, however late, can commit the batch whole.
        """
        if not await self._log.abandon(batch.id):
            await self._batches.drop(batch.id)
            return []
        if len(batch.payloads) == 1:
            if await self._batches.quarantine(batch, reason, at=time.time()):
                self.quarantined += 1
                log.error("An activity is set aside; `talentfeed activities quarantined` lists it: %s", reason)
            return []
        ranks = halves(len(batch.payloads))
        if broken:
            sound = [rank for rank in range(len(batch.payloads)) if rank not in broken]
            ranks = [piece for piece in (sound, *([rank] for rank in broken)) if piece]
        return await self._cut(batch, cut(batch, ranks), ranks)

    async def _renew(self, batch: Batch) -> list[Batch]:
        """The ledger may have forgotten this batch: it goes on whole under a new id, unless it was committed."""
        if not await self._log.abandon(batch.id):
            await self._batches.drop(batch.id)
            return []
        again = Batch(await self._log.new_batch_id(), batch.payloads)
        return await self._cut(batch, [again], [range(len(batch.payloads))])

    async def _cut(self, batch: Batch, pieces: list[Batch], ranks: Sequence[Sequence[int]]) -> list[Batch]:
        """→ the pieces; none where another has ended the batch: also where it was written, dropped and forgotten."""
        ids = {piece.id for piece in pieces}
        self.ours |= ids  # before the cut: its answer may be lost
        if await self._batches.split(batch, pieces, ranks):
            return pieces
        self.ours -= ids
        return []
