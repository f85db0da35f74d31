"""Fit the blend: a logistic regression of what was liked later, against videos drawn uniformly.

Negatives are uniform over the catalogue, not impressions that were passed over: what a log shows was chosen by somebody
already, and a model of clicks within it ranks a whole catalogue worse than popularity does.

What suits a viewer comes on top of that: of all viewers whose profile says something, as if they had done nothing yet;
of those with a history, by their taste. It is told from other videos of the same viewer alone, since only these compete
with one another; where the data say little, the prior of `evidence` stays.
"""

from collections.abc import Callable, Mapping

import numpy as np

from talentfeed.contracts import Floats, Ints
from talentfeed.errors import LogError
from talentfeed.evidence import ITEM_SIGNALS, PROFILE_PRIOR, SUITING, TASTE_PRIOR, VIEWER_SIGNALS, Blend

NEGATIVES = 30  # for each positive
MOST_USERS = 20_000
_RIDGE = 1e-2  # on standardised columns
_STEPS = 50
_SETTLED = 1e-8
_FLAT = 1e-6  # spread of a signal that says nothing: rounding alone would otherwise be given a weight
_DOUBT = 1.0  # standard deviation of a prior weight
_Columns = Callable[[int, Ints], Floats | None]  # a user and videos → SUITING of each, or nothing is known


def fit(
    items: Floats,  # (n, len(ITEM_SIGNALS))
    columns: Callable[[int], Floats],  # a user → VIEWER_SIGNALS of every video, (2, n)
    positives: dict[int, Ints],  # user → videos liked later that were not shown before
    shown: Callable[[int], Ints],  # user → videos shown before
    *,
    by_taste: _Columns = lambda _user, _videos: None,
    by_profile: _Columns = lambda _user, _videos: None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _done: None,
) -> Blend:
    """The weights under which what was liked stands out.

    `by_taste`: nothing of users without a history; `by_profile`: as if nobody had one. Raises LogError where there is
    nothing to fit on.
    """
    rng = np.random.default_rng(seed)
    users = sorted(user for user, liked in positives.items() if len(liked))
    if not users:
        raise LogError("nothing was liked in the period that the weights are fitted on; a longer log is needed")
    if len(users) > MOST_USERS:
        users = sorted(rng.choice(users, MOST_USERS, replace=False).tolist())
    rows, labels = [], []
    tastes, profiles = _Suited(TASTE_PRIOR), _Suited(PROFILE_PRIOR)
    n = 0
    for number, user in enumerate(users):
        liked = positives[user]
        drawn = rng.integers(len(items), size=NEGATIVES * len(liked))
        drawn = drawn[~np.isin(drawn, np.concatenate([liked, shown(user)]))]
        chosen = np.concatenate([liked, drawn])
        rows.append(np.concatenate([items[chosen], columns(user)[:, chosen].T], axis=1))
        labels.append(np.arange(len(chosen)) < len(liked))
        tastes.take(n, len(liked), by_taste(user, chosen))
        profiles.take(n, len(liked), by_profile(user, chosen))
        n += len(chosen)
        progress((number + 1) / len(users))
    x, y = np.concatenate(rows), np.concatenate(labels).astype(np.float64)
    (warm, warm_level), (cold, cold_level) = logistic(x, y), logistic(x[:, : len(ITEM_SIGNALS)], y)
    taste, taste_level = tastes.fit(warm_level + x @ warm, y)
    profile, profile_level = profiles.fit(cold_level + x[:, : len(ITEM_SIGNALS)] @ cold, y)
    return Blend(
        warm=dict(zip((*ITEM_SIGNALS, *VIEWER_SIGNALS), warm.tolist(), strict=True)),
        cold=dict(zip(ITEM_SIGNALS, cold.tolist(), strict=True)),
        warm_level=warm_level,
        cold_level=cold_level,
        taste=dict(zip(SUITING, taste.tolist(), strict=True)),
        profile=dict(zip(SUITING, profile.tolist(), strict=True)),
        taste_level=taste_level,
        profile_level=profile_level,
    )


class _Suited:
    """Rows of the viewers of whom something is known, gathered to be fitted on top of what the signals say."""

    def __init__(self, prior: Mapping[str, float]) -> None:
        self._prior = np.array([prior[name] for name in SUITING])
        self._rows: list[Ints] = []
        self._columns: list[Floats] = []  # as they are
        self._apart: list[Floats] = []  # less what the viewer's drawn videos have on average

    def take(self, first: int, liked: int, columns: Floats | None) -> None:
        """A viewer's rows from this one on; so many of them were liked, and stand first."""
        if columns is None or len(columns) == liked:
            return
        self._rows.append(np.arange(first, first + len(columns)))
        self._columns.append(columns)
        self._apart.append(columns - columns[liked:].mean(axis=0))

    def fit(
        self,
        odds: Floats,  # (all rows,) by the signals
        y: Floats,  # (all rows,)
    ) -> tuple[Floats, float]:
        """Weights, (SUITING,), and the level that goes with them."""
        if not self._rows:
            return self._prior, 0.0
        rows = np.concatenate(self._rows)
        weights, level = logistic(np.concatenate(self._apart), y[rows], known=odds[rows], prior=self._prior)
        return weights, level - float(np.concatenate(self._columns).mean(axis=0) @ weights)


def logistic(
    x: Floats,  # (rows, columns)
    y: Floats,  # (rows,) 0 or 1
    *,
    known: Floats | float = 0.0,  # (rows,) log-odds that are added as they are
    prior: Floats | None = None,  # (columns,) what the weights are, give or take _DOUBT, where the rows do not say
) -> tuple[Floats, float]:
    """Weights of a logistic regression, (columns,), and its constant, which is free. Newton's method.

    A column without spread gets its prior; without any, 0.
    """
    mean, spread = x.mean(axis=0), x.std(axis=0)
    flat = spread < _FLAT
    spread = np.where(flat, 1.0, spread)
    z = np.concatenate([np.where(flat, 0.0, (x - mean) / spread), np.ones((len(x), 1))], axis=1)
    ridge, centre = np.full(z.shape[1], _RIDGE), np.zeros(z.shape[1])
    if prior is not None:
        ridge[:-1], centre[:-1] = 1 / (_DOUBT * spread) ** 2, prior * spread
    ridge[-1] = 1e-9
    w = centre.copy()

    def lost(w: Floats) -> float:
        u = known + z @ w
        return float(np.logaddexp(0.0, u).sum() - y @ u + 0.5 * ridge @ (w - centre) ** 2)

    loss = lost(w)
    for _ in range(_STEPS):
        p = 0.5 * (1.0 + np.tanh(0.5 * (known + z @ w)))
        slope = z.T @ (p - y) + ridge * (w - centre)
        curve = (z * (p * (1 - p))[:, None]).T @ z + np.diag(ridge + 1e-12)
        step = np.linalg.solve(curve, slope)
        size = 1.0
        while (new := lost(w - size * step)) > loss and size > 1e-6:
            size /= 2
        w = w - size * step
        if loss - new <= _SETTLED * abs(loss):
            break
        loss = new
    weights: Floats = np.where(flat, 0.0 if prior is None else prior, w[:-1] / spread)
    return weights, float(w[-1] - weights @ mean)
