"""A feed's record: all that the feed is a function of, and what was served. `rank` is pure, so it can be done again."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from talentfeed.contracts import Event, FeedRequest, Kind, Pool, Slate, Snapshot, Viewer
from talentfeed.errors import PatternError, RequestMisfitError, TalentFeedError
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.feed import Ranker, rank


class VersionGoneError(TalentFeedError):
    """A record cannot be replayed any more: its snapshot, policy or preset is not there, or its form is not known."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a feed was ranked from, by reference: nothing is copied while somebody waits for the feed."""

    ranker: Ranker
    events: Sequence[Event]  # the viewer was read with these, in this order
    request: FeedRequest
    now: float  # seconds UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedSlot:
    """One place of a feed as it went out."""

    kind: Kind
    id: int
    pool: Pool
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRecord:
    """What is kept of a feed. Rows and creator codes in `request` are those of its snapshot."""

    feed_id: str  # 32 hex digits; the seed is their value
    snapshot: str  # version
    policy: str  # version
    preset: str
    epsilon: float
    user_id: int
    events: Sequence[Event]
    request: FeedRequest  # `excluded_ids`: those that the snapshot has, ascending
    now: float  # seconds UTC
    slots: Sequence[ServedSlot]

    @property
    def seed(self) -> int:
        """All the chance there was in it."""
        return int(self.feed_id, 16)

    def is_of(self, ranker: Ranker) -> bool:
        """Whether this is the ranker the feed came from, or one that cannot be told from it."""
        return (self.snapshot, self.policy, self.preset, self.epsilon) == (
            ranker.snapshot.manifest.version,
            ranker.policy.version,
            ranker.preset.name,
            ranker.epsilon,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A feed ranked once more."""

    viewer: Viewer
    slate: Slate
    slots: Sequence[ServedSlot]  # of the slate, as they would be served
    identical: bool  # to what was served: items, pools and probabilities


def replay(record: FeedRecord, ranker: Ranker) -> Replay:
    """Rank the feed again and compare. `ranker` must be one that `record.is_of`.

    Raises VersionGoneError where the record names what its snapshot does not have.
    """
    viewer = viewers.read(ranker.snapshot, record.user_id, record.events)
    try:
        slate = rank(ranker, viewer, record.request, now=record.now, seed=record.seed)
    except (PatternError, RequestMisfitError) as error:
        raise VersionGoneError(f"Feed {record.feed_id} cannot be made again, its record is damaged: {error}") from error
    slots = served_slots(ranker.snapshot, slate)
    return Replay(viewer=viewer, slate=slate, slots=slots, identical=slots == list(record.slots))


def served_slots(snapshot: Snapshot, slate: Slate) -> list[ServedSlot]:
    """A slate by the platform's ids."""
    ids = {Kind.VIDEO: snapshot.videos.id, Kind.FLOW: snapshot.flows.id}
    return [
        ServedSlot(kind=s.kind, id=int(ids[s.kind][s.index]), pool=s.pool, probability=s.probability)
        for s in slate.slots
    ]
