"""From a slate to bytes. What does not change of an item is looked up once a snapshot, and at hand from then on."""

from collections.abc import Sequence
from typing import Any

import msgspec

from talentfeed.activity.recorder import ServedItem
from talentfeed.activity.sessions import Session
from talentfeed.contracts import CREATOR_WINDOW, Flows, Kind, Pool, Slate, Slot, Snapshot, Videos
from talentfeed.ranking.viewer import last_creators

Item = tuple[Kind, int] | int  # of a session, or of a client's list

REMEMBERED = 10_000  # items of a kind that are at hand
_BEFORE = CREATOR_WINDOW - 1
_IDS_NAME = {"total": b"mix_ids", "discover": b"resume_ids", "flow": b"challenge_ids"}
_HEAD = {endpoint: b'{"statusCode":200,"body":{"' + name + b'":' for endpoint, name in _IDS_NAME.items()}
_TAIL = {id(pool): f',"pool":"{pool.value}"}},'.encode() for pool in Pool}  # an enum's own hash is Python code
_encode = msgspec.json.encode


class Shelved(msgspec.Struct, frozen=True, gc=False):
    """An item that slates place."""

    id: bytes
    body: memoryview  # its JSON object but for the brace that closes it
    served: ServedItem  # as it is recorded


class Shelf:
    """The items of a snapshot that its slates place."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._videos: dict[int, Shelved] = {}
        self._flows: dict[int, Shelved] = {}

    def __call__(self, snapshot: Snapshot, slots: Sequence[Slot]) -> list[Shelved]:
        """One a slot, in order."""
        if snapshot is not self._snapshot:
            self._snapshot, self._videos, self._flows = snapshot, {}, {}
        videos, flows, video = self._videos, self._flows, Kind.VIDEO
        try:
            return [videos[slot.index] if slot.kind is video else flows[slot.index] for slot in slots]
        except KeyError:
            return [self._one(snapshot, slot) for slot in slots]

    def _one(self, snapshot: Snapshot, slot: Slot) -> Shelved:
        known = self._videos if slot.kind is Kind.VIDEO else self._flows
        found = known.get(slot.index)
        if found is None:
            if len(known) >= REMEMBERED:
                known.clear()
            found = known[slot.index] = _shelved(snapshot, slot)
        return found


class Creators:
    """Who made the items that were shown last, as `last_creators` has it."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._known: dict[Item, tuple[int, ...]] = {}

    def __call__(self, snapshot: Snapshot, items: Sequence[Item]) -> list[tuple[int, ...]]:
        """Of the last eleven, oldest first."""
        if snapshot is not self._snapshot or len(self._known) > REMEMBERED:
            self._snapshot, self._known = snapshot, {}
        known, last = self._known, items[-_BEFORE:]
        try:
            return [known[item] for item in last]
        except KeyError:
            new = [item for item in last if item not in known]
            known.update(zip(new, last_creators(snapshot, new), strict=True))
            return [known[item] for item in last]


def shape(
    snapshot: Snapshot, slate: Slate, session: Session, found: Sequence[Shelved], *, endpoint: str, feed_id: str
) -> bytes:
    """The response's bytes: the items' encoded bodies joined, each with its pool, and the feed's own fields beside.

    found: what the shelf has of the slate's slots.
    """
    slots = slate.slots
    beside: dict[str, Any] = {
        "feed_id": feed_id,
        "session_id": session.session_id,
        "gave_way": [rule.value for rule in slate.gave_way],
        "fallbacks": [
            {"slot": place, "planned": slot.planned.value, "pool": slot.pool.value}
            for place, slot in enumerate(slots)
            if slot.pool is not slot.planned
        ],
        "snapshot": snapshot.manifest.version,
    }
    if session.degraded:
        beside["degraded"] = True
    ids = b'","'.join([one.id for one in found])
    head = (_HEAD[endpoint], b'["', ids, b'"]', b',"items":[') if found else (_HEAD[endpoint], b'[],"items":[')
    items: list[bytes | memoryview] = [b""] * (2 * len(slots))  # filled column by column, which takes half the time
    items[::2] = [one.body for one in found]
    items[1::2] = [_TAIL[id(slot.pool)] for slot in slots]
    if items:
        items[-1] = items[-1][:-1]  # no comma after the last
    return b"".join((*head, *items, b"],", _encode(beside)[1:], b"}"))


def _shelved(snapshot: Snapshot, slot: Slot) -> Shelved:
    catalogue: Videos | Flows = snapshot.videos if slot.kind is Kind.VIDEO else snapshot.flows
    number = catalogue.id.item(slot.index)
    begin, end = catalogue.json_start[slot.index : slot.index + 2].tolist()
    from_, to = catalogue.url_start[slot.index : slot.index + 2].tolist()
    url = catalogue.url[from_:to].tobytes().decode()
    return Shelved(b"%d" % number, catalogue.json.data[begin : end - 1], ServedItem(slot.kind, number, url))
