"""The preset `learned` as plainly as it can be said: a video at a time, everything anew. Noise is handed in."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from talentfeed.contracts import BanditState, Floats
from talentfeed.evidence import ITEM_SIGNALS, Signals

LARGEST = {1: 1.5, 2: 6.0, 3: 10.0, 17: 0.3}


def likely(signals: Signals, evidence: Sequence[int], x: Sequence[Sequence[float]]) -> list[float]:
    """Log-odds of each video, of a viewer's newest distinct events, newest first; `x`: the 18 features of each.

    Of a viewer with events but for what suits the taste, which is asked only of what is scored.
    """
    blend, n = signals.blend, len(signals.items)
    if not evidence:
        return [
            blend.cold_level
            + sum(blend.cold[name] * signals.items[row, i] for i, name in enumerate(ITEM_SIGNALS))
            + suits(blend.profile, blend.profile_level, x[row])
            for row in range(n)
        ]
    known = len(evidence) / (len(evidence) + 2.0)
    own = np.array([signals.factors[row] for row in evidence], np.float64)
    c = signals.confidence
    user = np.linalg.solve(signals.gram + (c - 1.0) * own.T @ own, c * own.sum(axis=0))
    fading = [0.5 ** (place / 5.0) for place in range(len(evidence))]
    found = []
    for row in range(n):
        close = 0.0
        for event, weight in zip(evidence, fading, strict=True):
            near = [k for k, other in enumerate(signals.neighbour[event]) if other == row]
            close += weight * (float(signals.closeness[event, near[0]]) if near else signals.apart[row])
        close = max(close / sum(fading), 0.0)
        items = sum(blend.warm[name] * signals.items[row, i] for i, name in enumerate(ITEM_SIGNALS))
        als = known * float(np.dot(signals.factors[row].astype(np.float64), user))
        found.append(
            blend.warm_level
            + items
            + blend.warm["als"] * als
            + blend.warm["co_view"] * math.log(1e-4 + known * close)
            + blend.taste_level
        )
    return found


def suits(weights: Mapping[str, float], level: float, x: Sequence[float]) -> float:
    """What suiting the viewer adds: the features 5 and 6."""
    return level + weights["skill_similarity"] * x[5] + weights["extended_match"] * x[6]


def scaled(x: Sequence[float], log_odds: float, posterior_mean: float) -> list[float]:
    """The 20 features of a video: the 18 as they stand, cut to [0, 1], the blend, the posterior mean."""
    cut = [min(max(value / LARGEST.get(column, 1.0), 0.0), 1.0) for column, value in enumerate(x)]
    return [*cut, 0.5 * (1.0 + log_odds / math.sqrt(4.0 + log_odds**2)), posterior_mean]


def ucb(state: BanditState, x: Floats, *, alpha: float) -> float:
    """Theta^T x + alpha sqrt(x^T A^-1 x)."""
    inverse = np.linalg.inv(state.A)
    return float(inverse @ state.b @ x + alpha * math.sqrt(x @ inverse @ x))
