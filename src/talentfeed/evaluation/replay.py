"""From a feed's id to the feed itself, ranked once more from its record under the versions it was served from."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from talentfeed.contracts import Policy, Snapshot
from talentfeed.errors import PatternError, SnapshotError
from talentfeed.ranking import record as records
from talentfeed.ranking.feed import Ranker, prepare
from talentfeed.ranking.presets import Preset, preset
from talentfeed.ranking.record import FeedRecord, Replay, ServedSlot, VersionGoneError

if TYPE_CHECKING:
    from talentfeed.ranking.explanation import Explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedSlot:
    """One place."""

    place: int  # from 0
    type: str  # resume or challenge
    id: int
    pool: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """A feed ranked once more."""

    feed_id: str
    identical: bool
    snapshot: str
    policy: str
    preset: str
    slots: Sequence[ReplayedSlot]
    served: Sequence[ReplayedSlot] | None  # what went out, where that is something else


class Replayer:
    """Replays and explains feeds. What it needs of stores is handed in."""

    def __init__(
        self,
        *,
        kept: Callable[[str], Awaitable[FeedRecord | None]],
        load: Callable[[str], Snapshot],
        policy: Callable[[FeedRecord], Awaitable[Policy]],
        serving: Callable[[], Ranker | None],
    ) -> None:
        """`kept`: a feed's record by its id. `load`: the snapshot of a version, or SnapshotError. `policy`: the policy
        of a record, or VersionGoneError. `serving`: the ranker in use, which most feeds of the last hour are of."""
        self._kept = kept
        self._load = load
        self._policy = policy
        self._serving = serving
        self._former: Ranker | None = None  # the last one that was prepared for a version not served any more
        self._preparing = asyncio.Lock()

    async def report(self, feed_id: str) -> ReplayReport | None:
        """The feed again, for a person to look at. None and errors as `replay`."""
        found = await self.replay(feed_id)
        return None if found is None else _report(*found)

    async def replay(self, feed_id: str) -> tuple[FeedRecord, Ranker, Replay] | None:
        """The feed again, with what it was made of. None: not known, or not kept any more.

        Raises VersionGoneError where a version it needs is gone, StoreUnavailableError where its record cannot be read.
        """
        record = await self._kept(feed_id)
        if record is None:
            return None
        ranker = await self._ranker(record)
        return record, ranker, await asyncio.to_thread(records.replay, record, ranker)

    async def explain(self, feed_id: str) -> "Explanation | None":
        """Why each item stands where it stands. None and errors as `replay`."""
        found = await self.replay(feed_id)
        return None if found is None else await asyncio.to_thread(_explained, *found)

    async def _ranker(self, record: FeedRecord) -> Ranker:
        async with self._preparing:
            for ranker in (self._serving(), self._former):
                if ranker is not None and record.is_of(ranker):
                    return ranker
            try:
                chosen = preset(record.preset)
                self._former = await asyncio.to_thread(self._prepare, record, await self._policy(record), chosen)
            except PatternError as error:
                raise VersionGoneError(
                    f"Feed {record.feed_id} was ranked by preset {record.preset}, which is gone"
                ) from error
            return self._former

    def _prepare(self, record: FeedRecord, policy: Policy, chosen: Preset) -> Ranker:
        try:
            return prepare(self._load(record.snapshot), policy, chosen, epsilon=record.epsilon)
        except SnapshotError as error:
            raise VersionGoneError(
                f"Feed {record.feed_id} was served from snapshot {record.snapshot}, which cannot be read any more"
            ) from error


def _explained(record: FeedRecord, ranker: Ranker, replay: Replay) -> "Explanation":
    from talentfeed.ranking.explain import explain  # takes its time; few ask

    return explain(record, ranker, replay)


def _report(record: FeedRecord, _: Ranker, replay: Replay) -> ReplayReport:
    return ReplayReport(
        feed_id=record.feed_id,
        identical=replay.identical,
        snapshot=record.snapshot,
        policy=record.policy,
        preset=record.preset,
        slots=_shown(replay.slots),
        served=None if replay.identical else _shown(record.slots),
    )


def _shown(slots: Sequence[ServedSlot]) -> list[ReplayedSlot]:
    from talentfeed.ranking.explain import TYPES

    return [
        ReplayedSlot(place=n, type=TYPES[slot.kind], id=slot.id, pool=slot.pool.value, probability=slot.probability)
        for n, slot in enumerate(slots)
    ]
