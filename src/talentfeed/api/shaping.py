"""From a slate to bytes. What does not change of an item is looked up once a snapshot, and at hand from then on."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from talentfeed.activity.recorder import ServedItem
from talentfeed.activity.sessions import Session
from talentfeed.contracts import CREATOR_WINDOW, Flows, Kind, Pool, Slate, Slot, Snapshot, Videos
from talentfeed.ranking.viewer import last_creators

T = TypeVar("T")
Item = tuple[Kind, int] | int  # of a session, or of a client's list

REMEMBERED = 10_000  # items of a kind that are at hand
_BEFORE = CREATOR_WINDOW - 1
_IDS_NAME = {"total": b"mix_ids", "discover": b"resume_ids", "flow": b"challenge_ids"}
_HEAD = {endpoint: b'{"statusCode":200,"body":{"' + name + b'":["' for endpoint, name in _IDS_NAME.items()}
_TAIL = {id(pool): f',"pool":"{pool.value}"}},'.encode() for pool in Pool}  # an enum's own hash is Python code
_encode = msgspec.json.encode


class Shelf(Generic[T]):
    """Something of each item that a snapshot's slates place."""

    def __init__(self, make: Callable[[Snapshot, Slot], T]) -> None:
        self._make = make
        self._snapshot: Snapshot | None = None
        self._videos: dict[int, T] = {}
        self._flows: dict[int, T] = {}

    def __call__(self, snapshot: Snapshot, slots: Sequence[Slot]) -> list[T]:
        """One a slot, in order."""
        if snapshot is not self._snapshot:
            self._snapshot, self._videos, self._flows = snapshot, {}, {}
        videos, flows, video = self._videos, self._flows, Kind.VIDEO
        try:
            # by place: to take all of a slot apart for two of its parts takes longer than all the rest
            return [videos[slot[1]] if slot[0] is video else flows[slot[1]] for slot in slots]
        except KeyError:
            return [self._one(snapshot, slot) for slot in slots]

    def _one(self, snapshot: Snapshot, slot: Slot) -> T:
        known = self._videos if slot.kind is Kind.VIDEO else self._flows
        found = known.get(slot.index)
        if found is None:
            if len(known) >= REMEMBERED:
                known.clear()
            found = known[slot.index] = self._make(snapshot, slot)
        return found


class ServedItems(Shelf[ServedItem]):
    """What went out, as it is recorded."""

    def __init__(self) -> None:
        super().__init__(_served)


class Bodies(Shelf[tuple[bytes, memoryview]]):
    """An item's id, and its JSON object but for the brace that closes it."""

    def __init__(self) -> None:
        super().__init__(_body)


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


def shape(snapshot: Snapshot, slate: Slate, session: Session, bodies: Bodies, *, endpoint: str, feed_id: str) -> bytes:
    """The response's bytes: the items' encoded bodies joined, each with its pool, and the feed's own fields beside."""
    slots = slate.slots
    beside: dict[str, Any] = {
        "feed_id": feed_id,
        "session_id": session.session_id,
        "gave_way": [rule.value for rule in slate.gave_way],
        "fallbacks": [
            {"slot": place, "planned": slot.planned.value, "pool": slot.pool.value}
            for place, slot in enumerate(slots)
            if slot[2] is not slot[3]
        ],
        "snapshot": snapshot.manifest.version,
    }
    if session.degraded:
        beside["degraded"] = True
    found = bodies(snapshot, slots)
    parts: list[bytes | memoryview] = [_HEAD[endpoint], b'","'.join([item_id for item_id, _ in found]), b'"],"items":[']
    for (_, body), slot in zip(found, slots, strict=True):
        parts += (body, _TAIL[id(slot[2])])
    if found:
        parts[-1] = parts[-1][:-1]  # no comma after the last
    else:
        parts[0] = parts[0][:-1]  # nor a quote where there is no id
        parts[2] = b'],"items":['
    parts += (b"],", _encode(beside)[1:], b"}")
    return b"".join(parts)


def _served(snapshot: Snapshot, slot: Slot) -> ServedItem:
    catalogue = _catalogue(snapshot, slot)
    begin, end = catalogue.url_start[slot.index : slot.index + 2].tolist()
    return ServedItem(slot.kind, int(catalogue.id[slot.index]), catalogue.url[begin:end].tobytes().decode())


def _body(snapshot: Snapshot, slot: Slot) -> tuple[bytes, memoryview]:
    catalogue = _catalogue(snapshot, slot)
    begin, end = catalogue.json_start[slot.index : slot.index + 2].tolist()
    return b"%d" % catalogue.id.item(slot.index), catalogue.json.data[begin : end - 1]


def _catalogue(snapshot: Snapshot, slot: Slot) -> Videos | Flows:
    return snapshot.videos if slot.kind is Kind.VIDEO else snapshot.flows
