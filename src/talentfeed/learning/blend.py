"""Fit the blend: a logistic regression of what was liked later, against videos drawn uniformly.

Negatives are uniform over the catalogue, not impressions that were passed over: what a log shows was chosen by somebody
already, and a model of clicks within it ranks a whole catalogue worse than popularity does.
"""

from collections.abc import Callable

import numpy as np

from talentfeed.contracts import Floats, Ints
from talentfeed.errors import LogError
from talentfeed.evidence import ITEM_SIGNALS, VIEWER_SIGNALS, Blend

NEGATIVES = 30  # for each positive
MOST_USERS = 20_000
_RIDGE = 1e-2  # on standardised columns
_STEPS = 50
_SETTLED = 1e-8
_FLAT = 1e-6  # spread of a signal that says nothing: rounding alone would otherwise be given a weight


def fit(
    items: Floats,  # (n, len(ITEM_SIGNALS))
    columns: Callable[[int], Floats],  # a user → VIEWER_SIGNALS of every video, (2, n)
    positives: dict[int, Ints],  # user → videos liked later that were not shown before
    shown: Callable[[int], Ints],  # user → videos shown before
    *,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _done: None,
) -> Blend:
    """The weights under which what was liked stands out.

    Raises LogError where there is nothing to fit on.
    """
    rng = np.random.default_rng(seed)
    users = sorted(user for user, liked in positives.items() if len(liked))
    if not users:
        raise LogError("nothing was liked in the period that the weights are fitted on; a longer log is needed")
    if len(users) > MOST_USERS:
        users = sorted(rng.choice(users, MOST_USERS, replace=False).tolist())
    rows, labels = [], []
    for number, user in enumerate(users):
        liked = positives[user]
        drawn = rng.integers(len(items), size=NEGATIVES * len(liked))
        drawn = drawn[~np.isin(drawn, np.concatenate([liked, shown(user)]))]
        chosen = np.concatenate([liked, drawn])
        rows.append(np.concatenate([items[chosen], columns(user)[:, chosen].T], axis=1))
        labels.append(np.arange(len(chosen)) < len(liked))
        progress((number + 1) / len(users))
    x, y = np.concatenate(rows), np.concatenate(labels).astype(np.float64)
    (warm, warm_level), (cold, cold_level) = logistic(x, y), logistic(x[:, : len(ITEM_SIGNALS)], y)
    return Blend(
        warm=dict(zip((*ITEM_SIGNALS, *VIEWER_SIGNALS), warm.tolist(), strict=True)),
        cold=dict(zip(ITEM_SIGNALS, cold.tolist(), strict=True)),
        warm_level=warm_level,
        cold_level=cold_level,
    )


def logistic(
    x: Floats,  # (rows, columns)
    y: Floats,  # (rows,) 0 or 1
) -> tuple[Floats, float]:
    """Weights of a logistic regression, (columns,), and its constant, which is free. Newton's method.

    A column without spread gets 0.
    """
    mean, spread = x.mean(axis=0), x.std(axis=0)
    flat = spread < _FLAT
    spread = np.where(flat, 1.0, spread)
    z = np.concatenate([np.where(flat, 0.0, (x - mean) / spread), np.ones((len(x), 1))], axis=1)
    ridge = np.full(z.shape[1], _RIDGE)
    ridge[-1] = 1e-9
    w = np.zeros(z.shape[1])
    loss = _loss(z, y, w, ridge)
    for _ in range(_STEPS):
        p = 0.5 * (1.0 + np.tanh(0.5 * (z @ w)))
        slope = z.T @ (p - y) + ridge * w
        curve = (z * (p * (1 - p))[:, None]).T @ z + np.diag(ridge + 1e-12)
        step = np.linalg.solve(curve, slope)
        size = 1.0
        while (new := _loss(z, y, w - size * step, ridge)) > loss and size > 1e-6:
            size /= 2
        w = w - size * step
        if loss - new <= _SETTLED * abs(loss):
            break
        loss = new
    weights: Floats = np.where(flat, 0.0, w[:-1] / spread)
    return weights, float(w[-1] - weights @ mean)


def _loss(z: Floats, y: Floats, w: Floats, ridge: Floats) -> float:
    u = z @ w
    return float(np.logaddexp(0.0, u).sum() - y @ u + 0.5 * ridge @ (w * w))
