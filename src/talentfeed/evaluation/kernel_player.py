"""A preset of the kernel in play: its pages and features, and its own bandits learning from each page."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from talentfeed.contracts import HISTORY, Counts, Event, EventType, Floats, Ints, Kind, Policy, Pool
from talentfeed.evaluation.kernel_pages import KernelPages
from talentfeed.ranking import linucb
from talentfeed.ranking.feed import Ranker

REFRESH = 10  # pages after which the serving side has the newest policy: pods pick one up within seconds
WATCHED = 1.0


class KernelPlayer:
    """Plays the kernel on a block of a dataset: one pool by its scores alone, or the product's pages."""

    def __init__(
        self,
        prepare: Callable[[Policy, Ranker | None], Ranker],
        policy: Policy,
        *,
        users: Ints,
        videos: Ints,
        pattern: Sequence[Pool],
        now: float,
        seed: int,
    ) -> None:
        """`users` and `videos`: the block's ids by row, ascending. `prepare` is given the ranker before, if any.

        `pattern`: of the product's pages; scores are those of its first pool.
        """
        self._prepare = prepare
        self._policy = policy
        self._users = users
        self._videos = videos
        self._pattern = pattern
        self._now = now
        self._seed = seed
        ranker = prepare(policy, None)
        self._preset = ranker.preset
        self._pages = KernelPages(ranker, users, videos, now=now, seed=seed)
        self._shown, self._rewarded = np.zeros(len(videos)), np.zeros(len(videos))
        self._events: dict[int, list[Event]] = {}
        self._learned = 0
        self._turn = 0
        self._drawn: Sequence[Pool] | None = None  # the pools that the last page was drawn from

    def scores(self, user: int, turn: int) -> Floats:
        """The kernel's, with what this user has done so far."""
        self._turn = turn
        return self._pages.score(user, self._pattern[0], self._events.get(user, ()), turn=turn)

    def page(self, user: int, turn: int, shown: Ints) -> Ints:
        """The product's, of what this user was not shown: the pattern, all rules, epsilon."""
        self._turn = turn
        rows, self._drawn = self._pages.page(user, self._pattern, shown, self._events.get(user, ()), turn=turn)
        return rows

    def learn(self, user: int, rows: Ints, rewards: Floats) -> None:
        """Bandits learn from the features as they were served, each from what its pools brought and all from chance;
        videos are counted, the user's views count at once."""
        x = self._pages.features(user, rows, self._events.get(user, ()), turn=self._turn)
        pools = [self._pattern[0]] * len(rows) if self._drawn is None else self._drawn
        bandits = dict(self._policy.bandits)
        for bandit, state in bandits.items():
            own = [pool is Pool.EXPLORE or self._preset.bandit_of(pool) is bandit for pool in pools]
            bandits[bandit] = linucb.update_many(state, x[own], rewards[own])
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
