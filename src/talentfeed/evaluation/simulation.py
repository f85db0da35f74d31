"""Policies played online where every answer is known: whoever asks, whatever is shown, the reward is in the matrix."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from talentfeed.contracts import Bools, Floats, Ints
from talentfeed.errors import LeakError
from talentfeed.evaluation.protocol import PLACES, best

FEEDS_PER_USER = 1.772  # 1,250 requests for 705 users
SEEDS = (0, 1, 2, 3, 4)


class Player(Protocol):
    """A policy in play. Users and videos are rows of the block."""

    def scores(self, user: int, turn: int, /) -> Floats:
        """Of every video for the user who asks now, (videos,)."""
        ...

    def learn(self, user: int, rows: Ints, rewards: Floats, /) -> None:
        """What came of the page, at once."""
        ...


@runtime_checkable
class Paging(Protocol):
    """A policy that puts pages together itself, its exploration included."""

    def page(self, user: int, turn: int, shown: Ints, /) -> Ints:
        """Up to PLACES videos that the user was not shown, the best place first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """What every policy is played on."""

    likes: Bools  # (users, videos)
    epsilon: float  # share of a uniform draw in each slot, where a policy explores

    @property
    def requests(self) -> int:
        """So many pages are asked for."""
        return math.ceil(FEEDS_PER_USER * len(self.likes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One policy under one seed."""

    rewards: Floats  # (requests,) mean of each page
    coverage: float  # videos shown to anybody / videos

    @property
    def sixth(self) -> int:
        """Requests in a sixth of the game."""
        return max(len(self.rewards) // 6, 1)


def play(
    game: Game,
    make: Callable[[int], Player],
    seed: int,
    *,
    explores: bool,
    pages: bool = False,
    progress: Callable[[float], None] = lambda _done: None,
) -> Played:
    """Users drawn uniformly ask for pages of videos they were not shown. The same seed asks for all policies alike.

    `pages`: those who put pages together themselves (`Paging`) do. Raises LeakError where a page holds what its user
    was shown.
    """
    asking = np.random.default_rng((seed, 0))
    chance = np.random.default_rng((seed, 1))
    player = make(seed)
    users, videos = game.likes.shape
    shown = np.zeros((users, videos), np.bool_)
    rewards = np.zeros(game.requests)
    for turn in range(game.requests):
        user = int(asking.integers(users))
        if pages and isinstance(player, Paging):
            page = player.page(user, turn, np.flatnonzero(shown[user]))
            if shown[user, page].any() or len(np.unique(page)) < len(page):
                raise LeakError(f"the page of turn {turn} holds a video that its user was shown, or one twice")
        else:
            page = best(player.scores(user, turn), np.flatnonzero(shown[user]))
            if explores:
                page = explored(page, ~shown[user], game.epsilon, chance)
        earned = game.likes[user, page].astype(np.float64)
        rewards[turn] = earned.mean() if len(page) else 0.0
        shown[user, page] = True
        player.learn(user, page, earned)
        progress((turn + 1) / game.requests)
    return Played(rewards=rewards, coverage=float(shown.any(axis=0).mean()))


def explored(page: Ints, free: Bools, epsilon: float, chance: np.random.Generator) -> Ints:
    """The page with each slot, by a share epsilon, drawn uniformly over what is free and not on the page before it.

    What a draw takes from a later slot leaves that slot to the next best.
    """
    left = list(page.tolist())
    taken: list[int] = []
    for _ in range(min(PLACES, len(left))):
        if chance.random() < epsilon:
            open_rows = np.setdiff1d(np.flatnonzero(free), taken)
            row = int(chance.choice(open_rows))
        else:
            row = next(candidate for candidate in left if candidate not in taken)
        taken.append(row)
    return np.array(taken, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A policy over all seeds."""

    reward: float
    spread: float  # standard deviation over seeds
    first_sixth: float
    last_sixth: float
    coverage: float
    by_seed: Sequence[float]


def outcome(games: Sequence[Played]) -> Outcome:
    """Means over seeds."""
    means = [float(game.rewards.mean()) for game in games]
    return Outcome(
        reward=float(np.mean(means)),
        spread=float(np.std(means, ddof=1)) if len(means) > 1 else 0.0,
        first_sixth=float(np.mean([game.rewards[: game.sixth].mean() for game in games])),
        last_sixth=float(np.mean([game.rewards[-game.sixth :].mean() for game in games])),
        coverage=float(np.mean([game.coverage for game in games])),
        by_seed=means,
    )


# ---------------------------------------------------------------- policies that need no kernel


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same order: for `popular`."""

    order: Floats  # (videos,)

    def scores(self, _user: int, _turn: int, /) -> Floats:
        """The same for all."""
        return self.order

    def learn(self, user: int, rows: Ints, rewards: Floats) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Random:
    """Every video alike."""

    videos: int
    seed: int

    def scores(self, _user: int, turn: int, /) -> Floats:
        """Drawn anew each turn."""
        return np.random.default_rng((self.seed, 2, turn)).random(self.videos)

    def learn(self, user: int, rows: Ints, rewards: Floats) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Oracle:
    """Knows every answer; among equals the popular first."""

    likes: Bools
    order: Floats  # (videos,) in [0, 1)

    def scores(self, user: int, _turn: int, /) -> Floats:
        """What is liked, first."""
        found: Floats = self.likes[user] + 0.5 * self.order
        return found

    def learn(self, user: int, rows: Ints, rewards: Floats) -> None:
        """Nothing."""
