"""Pages of the production kernel, for judging: a pool's pure ranking, or the full product."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from talentfeed.contracts import Event, FeedRequest, Floats, Ints, Kind, Pool, Snapshot, Viewer
from talentfeed.errors import PatternError
from talentfeed.evaluation.protocol import PLACES, best
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.feed import LEARNING, Ranker, rank, video_features, video_scores


class KernelPages:
    """Ranks users of a dataset (rows of its ids) with a ranker over a snapshot that was built from it."""

    def __init__(self, ranker: Ranker, users: Ints, videos: Ints, *, now: float, seed: int = 0) -> None:
        """`users` (u,) and `videos` (v,): the dataset's ids by row."""
        self.ranker = ranker
        self._users = users
        self._ids = videos
        self._now = now
        self._seed = seed
        own = np.asarray(ranker.snapshot.videos.id)
        self._known = np.flatnonzero(np.isin(own, videos))  # (k,) rows of the snapshot that the dataset lists
        self._others = np.delete(own, self._known)  # ids that it does not
        self._row = np.searchsorted(videos, own[self._known])  # (k,) the same as rows of the dataset
        self._place = np.full(len(videos), -1)
        self._place[self._row] = self._known

    def viewer(self, user: int, events: Sequence[Event] = ()) -> Viewer:
        """The viewer of a dataset's user."""
        return viewers.read(self.ranker.snapshot, int(self._users[user]), events)

    def score(self, user: int, pool: Pool, events: Sequence[Event] = (), *, turn: int = 0) -> Floats:
        """A learning pool's score of every video of the dataset, (v,): to the bit what ranks; -inf if not servable."""
        known = video_scores(self.ranker, self.viewer(user, events), self._now, self._chance(user, turn))[pool]
        scores = np.full(len(self._ids), -np.inf)
        scores[self._row] = known[self._known]
        return scores

    def pure(self, pool: Pool, shown: Callable[[int], Ints]) -> Callable[[int], Ints]:
        """Pages of one pool by its score alone: rules 3 to 5, epsilon and the pool's draws are off.

        Raises PatternError for a pool that has no score.
        """
        require_scored(pool)
        return lambda user: best(self.score(user, pool), shown(user))

    def full(self, pattern: Sequence[Pool], shown: Callable[[int], Ints]) -> Callable[[int], Ints]:
        """First pages of the full product: the pattern, all rules, epsilon."""
        return lambda user: self.page(user, pattern, shown(user))[0]

    def page(
        self, user: int, pattern: Sequence[Pool], shown: Ints, events: Sequence[Event] = (), *, turn: int = 0
    ) -> tuple[Ints, Sequence[Pool]]:
        """The videos of a first page of the full product but those `shown`, and the pool that each was drawn from."""
        request = FeedRequest(
            endpoint="total",
            pattern=pattern,
            size=PLACES,
            excluded_ids=np.concatenate([self._ids[shown], self._others]),
            recent_creators=(),
            shown_flows=np.zeros(0, np.int32),
        )
        chance = self._chance(user, turn)
        slots = rank(self.ranker, self.viewer(user, events), request, now=self._now, seed=chance).slots
        slots = [slot for slot in slots if slot.kind is Kind.VIDEO]
        rows: Ints = np.searchsorted(self._ids, self.ranker.snapshot.videos.id[[slot.index for slot in slots]])
        return rows, [slot.pool for slot in slots]

    def features(self, user: int, rows: Ints, events: Sequence[Event] = (), *, turn: int = 0) -> Floats:
        """The features of some videos as they are served to a user, (rows, 18), or (rows, 20) under `learned`."""
        viewer, places = self.viewer(user, events), self._place[rows].tolist()
        return video_features(self.ranker, viewer, places, now=self._now, seed=self._chance(user, turn))

    def _chance(self, user: int, turn: int = 0) -> int:
        return (self._seed << 96) + (turn << 64) + user + 1


def require_scored(pool: Pool) -> None:
    """Raises PatternError for a pool that has no score to rank by."""
    if pool not in LEARNING:
        raise PatternError(f"--pattern {pool}: this pool ranks by chance; use one of {' '.join(LEARNING)}")


def without_history(snapshot: Snapshot) -> Snapshot:
    """The same catalogue where nobody has done anything yet; profiles and connections stay."""
    users = snapshot.users
    none = np.zeros_like(users.history_start)
    hidden = replace(
        users,
        history_start=none,
        history_video=users.history_video[:0],
        history_liked=users.history_liked[:0],
        history_kind=users.history_kind[:0],
        history_at=users.history_at[:0],
        flow_history_start=none,
        flow_history=users.flow_history[:0],
    )
    signals = snapshot.signals
    if signals is not None:
        start = np.zeros_like(signals.event_start)
        signals = replace(signals, event_start=start, event_video=signals.event_video[:0])
    return replace(snapshot, users=hidden, signals=signals)
