"""A policy that has learned: from feeds that were served, rewarded by a taste that it does not know."""

import numpy as np
from benchmarks import plain
from benchmarks.catalogue import Catalogue
from benchmarks.requests import asked

from talentfeed.contracts import Floats, Kind, Policy
from talentfeed.ranking import feed, linucb, viewer
from talentfeed.ranking.presets import preset

_FEEDS_A_ROUND = 25


def learned_policy(catalogue: Catalogue, updates: int, seed: int) -> Policy:
    """The initial policy after so many updates in all, each of the bandit whose pool served the video.

    The reward is 1 for a video that the viewer likes, else 0. Raises ValueError if the catalogue serves too few videos.
    """
    rng = np.random.default_rng([seed, 2])
    weights = preset("classic")
    snapshot = catalogue.snapshot
    policy = feed.initial_policy()
    ranker = feed.prepare(snapshot, policy, weights)
    left = updates
    for number, one in enumerate(asked(catalogue, updates, seed), start=1):
        who = viewer.read(snapshot, one.user_id)
        slate = feed.rank(ranker, who, one.request, now=one.now, seed=one.seed)
        x = plain.matrix(snapshot, who, now=one.now, seed=one.seed, preset=weights)
        bandits = dict(policy.bandits)
        for pool in feed.LEARNING:
            rows = [slot.index for slot in slate.slots if slot.kind is Kind.VIDEO and slot.pool is pool][:left]
            liked = rng.random(len(rows)) < _taste(x[rows])
            bandits[pool] = linucb.update_many(bandits[pool], x[rows], liked.astype(np.float64))
            left -= len(rows)
        policy = Policy(version=f"after-{updates - left}-updates", bandits=bandits)
        if not left:
            return policy
        if number % _FEEDS_A_ROUND == 0:
            ranker = feed.prepare(snapshot, policy, weights)
    raise ValueError(f"{len(snapshot.videos.id)} videos are too few to learn {updates} times from")


def _taste(x: Floats) -> Floats:
    """How likely each row is liked, (n,): more the closer it is to the viewer and the better it was rated."""
    return np.clip(0.05 + 0.45 * x[:, 5] + 0.3 * x[:, 6] + 0.1 * x[:, 8] + 0.15 * x[:, 10] - 0.1 * x[:, 4], 0.0, 1.0)
