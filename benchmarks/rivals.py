"""MABWiser and Vowpal Wabbit on a part of the job: score every video for a viewer and take the 24 best.

That favours them: no filters, one pool instead of three, no rules, no probabilities, no flows. Each has learned from
the same number of rewards before, and keeps whatever it can between requests.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from benchmarks.requests import SIZE

from talentfeed.contracts import Floats

_LEARNED_FROM = 2_000
_ALPHA = 1.5
Contestant = Callable[[Floats], list[int]]  # the viewer's 18 numbers -> 24 rows, best first


def mabwiser(items: Floats, seed: int) -> Contestant:
    """LinUCB with a ridge regression an arm, each video an arm; the viewer is the context."""
    from mabwiser.mab import MAB, LearningPolicy

    rng = np.random.default_rng([seed, 3])
    n, d = items.shape
    bandit = MAB(arms=list(range(n)), learning_policy=LearningPolicy.LinUCB(alpha=_ALPHA), seed=seed, n_jobs=1)
    decisions = rng.integers(n, size=_LEARNED_FROM)
    bandit.fit(decisions, (rng.random(_LEARNED_FROM) < 0.3).astype(float), rng.random((_LEARNED_FROM, d)))

    def best(viewer: Floats) -> list[int]:
        expectations: dict[int, float] = bandit.predict_expectations(viewer[None, :])
        values = np.fromiter(expectations.values(), np.float64, n)
        return _best(values)

    return best


def vowpal_wabbit(items: Floats, seed: int) -> Contestant:
    """A contextual bandit over the videos as actions, viewer crossed with video; the actions are parsed beforehand."""
    from vowpalwabbit import LabelType, Workspace

    rng = np.random.default_rng([seed, 4])
    n, d = items.shape
    space: Any = Workspace("--cb_adf -q UI --noconstant --quiet")

    def shared(viewer: Floats) -> str:
        return f"shared |U {_features(viewer)}"

    lines = [f"|I {_features(row)}" for row in items]
    for _ in range(_LEARNED_FROM):
        chosen = rng.integers(n, size=SIZE)
        cost = -float(rng.random() < 0.3)
        labelled = [f"0:{cost}:{1 / SIZE:.4f} {lines[chosen[0]]}", *(lines[row] for row in chosen[1:])]
        space.learn([shared(rng.random((d,))), *labelled])
    actions = [space.example(line, labelType=LabelType.CONTEXTUAL_BANDIT) for line in lines]

    def best(viewer: Floats) -> list[int]:
        context = space.example(shared(viewer), labelType=LabelType.CONTEXTUAL_BANDIT)
        return _best(-np.array(space.predict([context, *actions])))

    return best


def _features(values: Floats) -> str:
    return " ".join(f"{number}:{value:.4f}" for number, value in enumerate(values.tolist()))


def _best(values: Floats) -> list[int]:
    if len(values) <= SIZE:
        return [int(row) for row in np.argsort(-values)]
    top = np.argpartition(-values, SIZE)[:SIZE]
    return [int(row) for row in top[np.argsort(-values[top])]]
