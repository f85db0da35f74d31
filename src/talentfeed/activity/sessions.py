"""What a request needs of earlier ones, in one round trip, and without it when Redis is slow, frozen or gone."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from talentfeed.activity import codec, keys, packed
from talentfeed.activity.outbox import Item, Outbox, ServedFeed
from talentfeed.activity.reading import Line, Reads
from talentfeed.asking import Form
from talentfeed.contracts import Event, Ints, Kind

RECENT = 200  # client events of a viewer that are kept and read
SEEN = 5_000  # of items beyond these events, so many are told as seen: each costs some millionths of a second a feed
NEWEST = 200  # shown items that are told in order; a creator window needs 11

_NO_IDS: Ints = np.zeros(0, np.int64)
_NO_IDS.flags.writeable = False
_READ = (("GET", None), ("LRANGE", None, 0, RECENT - 1), ("GET", None))  # session, recent, touched
_ANY = Form(*_READ)
_FLOW = Form(*_READ, ("ZRANGE", None, 0, -1))  # shown_flows


class Session(Struct, frozen=True, kw_only=True, gc=False):
    """What is known of earlier requests."""

    session_id: str
    shown: Sequence[Item] = ()  # the newest `NEWEST` items of this session, oldest first
    shown_ids: Ints = _NO_IDS  # (n,) of all its items, oldest first
    # The viewer's newest client events, newest first; after the `RECENT` newest, items of older ones as plain views.
    events: Sequence[Event] = ()
    shown_flows: Sequence[int] = ()  # ids of flows shown in earlier sessions; read for the endpoint `flow` alone
    degraded: bool = False  # Redis did not answer: only what this process still remembers is here


class Sessions:
    """Reads sessions. While Redis is away requests do without it at once; see `reading.py`."""

    def __init__(
        self,
        line: Line,
        *,
        outbox: Outbox,
        budget: float | None = 0.25,
        rest: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`budget`: seconds that Redis may take for a read, None without limit (in-process); `rest`: between probes of
        a Redis that is away. `clock`: wall time, never as-of: it makes session ids."""
        self._outbox = outbox
        self._reads = Reads(line, budget=budget, rest=rest)
        self._clock = clock
        self._skipped = 0
        self.degraded_reads = 0

    @property
    def skipped_values(self) -> int:
        """Stored values that are none of ours, and keys of another type."""
        return self._skipped + self._reads.foreign

    async def close(self) -> None:
        """End what is under way. Before the client is closed."""
        await self._reads.close()

    async def read(self, user_id: int, session_id: str | None = None, *, endpoint: str) -> Session:
        """The session; a new one where `session_id` is None. Never raises for Redis' sake."""
        if session_id is None:
            session_id = str(int(self._clock() * 1000))
        # Taken before Redis is asked: what is stored in the meantime is in both, and dropped from one below.
        pending = self._outbox.pending(user_id)
        names = keys.session(user_id, session_id), keys.recent(user_id), keys.touched(user_id)
        asked = _FLOW(*names, keys.shown_flows(user_id)) if endpoint == "flow" else _ANY(*names)
        answer = await self._reads.ask(asked)
        if answer is None:
            self.degraded_reads += 1
        return self._merge(session_id, pending, answer, endpoint=endpoint)

    def _merge(
        self, session_id: str, pending: Sequence[ServedFeed], answer: list[Any] | None, *, endpoint: str
    ) -> Session:
        stored, recent, touched, *flows = answer or (None, None, None)
        if not stored and not pending and not flows:  # a first page
            return Session(session_id=session_id, events=self._events(recent or (), touched), degraded=answer is None)
        items, skipped = packed.unpack(stored)
        self._skipped += skipped
        earlier = dict.fromkeys(self._numbers((flows[0] if flows else None) or ()))
        unstored: list[Item] = []
        for feed in pending:
            served = [(item.kind, item.id) for item in feed.items]
            if feed.session_id == session_id:
                unstored += served
            elif endpoint == "flow":
                earlier.update(dict.fromkeys(id_ for kind, id_ in served if kind is Kind.FLOW))
        if unstored:
            ids = np.fromiter((id_ for _, id_ in unstored), np.int64, len(unstored))
            known = set(packed.as_tuples(items[np.isin(items["id"], ids)]))
            unstored = [item for item in unstored if item not in known]
        shown = [*packed.as_tuples(items[-NEWEST:]), *unstored]
        shown_ids = items["id"]
        if unstored:
            shown_ids = np.concatenate([shown_ids, np.fromiter((id_ for _, id_ in unstored), np.int64, len(unstored))])
        if earlier:
            here = {*items["id"][items["kind"] == Kind.FLOW].tolist(), *(i for k, i in unstored if k is Kind.FLOW)}
            earlier = {flow: None for flow in earlier if flow not in here}
        return Session(
            session_id=session_id,
            shown=shown[-NEWEST:],
            shown_ids=shown_ids.astype(np.int64),  # out of the packed records, one after another
            events=self._events(recent or (), touched),
            shown_flows=list(earlier),
            degraded=answer is None,
        )

    def _events(self, recent: Sequence[bytes], touched: bytes | None) -> list[Event]:
        events = codec.decode_events(recent) if recent else []
        if len(recent) < RECENT:  # all there are
            return events
        items, skipped = packed.unpack(touched, packed.TOUCH)
        self._skipped += skipped
        return events + packed.touched(items, events, SEEN)

    def _numbers(self, stored: Sequence[bytes]) -> list[int]:
        numbers = [int(text) for text in stored if text.isdigit()]
        self._skipped += len(stored) - len(numbers)
        return numbers
