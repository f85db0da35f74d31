"""A viewer's newest events and the signals of all videos → a score of each video. At request time; NumPy only."""

import numpy as np

from talentfeed.contracts import Floats, Ints
from talentfeed.evidence import VIEWER_SIGNALS, Signals, Singles

NEW = 2.0  # events by which the viewer's part is shrunk: n / (n + NEW)
FADING = 5.0  # events after which one counts half for co-views
_FLOOR = 1e-4  # of a co-view, before its logarithm


def fold_in(signals: Signals, rows: Ints) -> Floats:
    """ALS factors of a viewer from the distinct videos seen, (rows,): (f,).

    (Y^T Y + lambda I + (c - 1) sum y y^T)^-1 c sum y: the user's half step of Hu, Koren and Volinsky, ICDM 2008.
    """
    own = signals.factors[rows].astype(np.float64)
    c = signals.confidence
    factors: Floats = np.linalg.solve(signals.gram + (c - 1.0) * (own.T @ own), c * own.sum(axis=0))
    return factors


def co_view(signals: Signals, rows: Ints) -> Floats:
    """Mean closeness of every video to those seen, newest first, where each counts a little less than the one before.

    (n,), at least 0.
    """
    fading = np.exp2(-np.arange(len(rows)) / FADING)
    fading /= fading.sum()
    near, n = signals.neighbour[rows], len(signals.items)
    each = np.repeat(fading, near.shape[1])
    shares = signals.closeness[rows].ravel() * each
    near = near.ravel()
    found: Floats = signals.apart * (1.0 - np.bincount(near, each, n))
    found += np.bincount(near, shares, n)
    return np.maximum(found, 0.0, out=found)


def viewer_columns(signals: Signals, rows: Ints) -> Floats:
    """VIEWER_SIGNALS of every video, (2, n), from a viewer's distinct newest events, newest first."""
    if not len(rows):
        blank = np.zeros((len(VIEWER_SIGNALS), len(signals.items)))
        blank[1] = np.log(_FLOOR)
        return blank
    known = len(rows) / (len(rows) + NEW)
    likeness: Singles = signals.factors @ fold_in(signals, rows).astype(np.float32)
    return np.stack([known * likeness, np.log(_FLOOR + known * co_view(signals, rows))])
