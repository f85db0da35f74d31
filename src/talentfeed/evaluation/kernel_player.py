"""A preset of the kernel in play: its scores and features, and its own LinUCB learning from each page."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from talentfeed.contracts import HISTORY, Counts, Event, EventType, Floats, Ints, Kind, Policy, Pool
from talentfeed.evaluation.kernel_pages import KernelPages
from talentfeed.ranking import linucb
from talentfeed.ranking.feed import Ranker

REFRESH = 10  # pages after which the serving side has the newest policy: pods pick one up within seconds
WATCHED = 1.0


class KernelPlayer:
    """Plays one pool of the kernel on a block of a dataset."""

    def __init__(
        self,
        prepare: Callable[[Policy, Ranker | None], Ranker],
        policy: Policy,
        *,
        users: Ints,
        videos: Ints,
        pool: Pool,
        now: float,
        seed: int,
    ) -> None:
        """`users` and `videos`: the block's ids by row, ascending. `prepare` is given the ranker before, if any."""
        self._prepare = prepare
        self._policy = policy
        self._users = users
        self._videos = videos
        self._pool = pool
        self._now = now
        self._seed = seed
        ranker = prepare(policy, None)
        self._bandit = ranker.preset.bandit_of(pool)
        self._pages = KernelPages(ranker, users, videos, now=now, seed=seed)
        self._shown, self._rewarded = np.zeros(len(videos)), np.zeros(len(videos))
        self._events: dict[int, list[Event]] = {}
        self._learned = 0
        self._turn = 0

    def scores(self, user: int, turn: int) -> Floats:
        """The kernel's, with what this user has done so far."""
        self._turn = turn
        return self._pages.score(user, self._pool, self._events.get(user, ()), turn=turn)

    def learn(self, user: int, rows: Ints, rewards: Floats) -> None:
        """LinUCB learns from the features as they were served, videos are counted, the user's views count at once."""
        x = self._pages.features(user, rows, self._events.get(user, ()), turn=self._turn)
        bandits = dict(self._policy.bandits)
        bandits[self._bandit] = linucb.update_many(bandits[self._bandit], x, rewards)
        self._shown[rows] += 1.0
        self._rewarded[rows] += rewards
        self._policy = replace(self._policy, bandits=bandits)
        self._learned += 1
        if self._learned % REFRESH == 0:
            counts = Counts(id=self._videos, shown=self._shown.copy(), rewarded=self._rewarded.copy())
            self._policy = replace(self._policy, counts=counts)
            self._pages.ranker = self._prepare(self._policy, self._pages.ranker)
        events = self._events.setdefault(user, [])
        for row, reward in zip(rows.tolist(), rewards.tolist(), strict=True):
            events.append(
                Event(
                    event_type=EventType.VIDEO_VIEW,
                    kind=Kind.VIDEO,
                    item_id=int(self._videos[row]),
                    at=self._now + len(events),
                    watch_ratio=WATCHED * reward,
                )
            )
        del events[:-HISTORY]
