"""Interactions → what they say of each video: popularity, mean reward, factors, neighbours. Build-time; reproducible.

One seed, and no sum that several threads add to: the same rows give the same bytes. Arrays in, arrays out; no files.
"""

import importlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from talentfeed.contracts import HISTORY, NO_DATE, SECONDS_PER_DAY, Floats, Indices, Ints
from talentfeed.evidence import Blend, Interactions, Signals, Singles
from talentfeed.snapshot.weights import BLEND

FAST, SLOW = 0.5, 3.0  # half-lives of popularity in days
FACTORS = 64
ITERATIONS = 15
LEAST_SEEN = 3  # videos of a viewer that factors are made of; what two have in common the neighbours say
MOST_VIEWERS = 50_000  # that factors are made of: those who were shown the most
CONFIDENCE = 10.0
RIDGE = 50.0
NEIGHBOURS = 200
SHRINK = 10.0  # joint viewers that a pair's closeness is shrunk by
THREADS = 2  # of the factors: each row is solved by one, so that their number is not in the result
_ROWS = 512  # of videos whose neighbours are looked for at once
_LEAST, _MOST = 1.0, 10_000.0  # rows that the prior of a mean reward may weigh


def build(
    log: Interactions, n_users: int, n_videos: int, *, clock: float, blend: Blend = BLEND, seed: int = 0
) -> Signals:
    """All signals of a catalogue as of a time, in seconds UTC."""
    shown = np.bincount(log.video, minlength=n_videos).astype(np.float64)
    rewarded: Floats = np.bincount(log.video, log.reward, minlength=n_videos).astype(np.float64)
    a, b = beta_prior(rewarded, shown)
    items = np.stack(
        [
            np.log(0.5 + popularity(log, n_videos, clock=clock, half_life=FAST)),
            np.log(0.5 + popularity(log, n_videos, clock=clock, half_life=SLOW)),
            np.log1p(shown),
            np.log((rewarded + a) / (shown + a + b)),
        ],
        axis=1,
    )
    with ThreadPoolExecutor(1) as beside:  # the longer half of the work lets go of the interpreter
        made = beside.submit(als, log, n_users, n_videos, seed=seed)
        neighbour, closeness, apart = neighbours(log, n_users, n_videos)
        factors = made.result()
    wide = factors.astype(np.float64)
    user, video = newest(log.user, log.video, HISTORY)
    return Signals(
        items=items,
        prior=(a, b),
        shown=shown,
        rewarded=rewarded,
        factors=factors,
        gram=wide.T @ wide + RIDGE * np.eye(FACTORS),
        confidence=CONFIDENCE,
        neighbour=neighbour,
        closeness=closeness,
        apart=apart,
        event_start=np.searchsorted(user, np.arange(n_users + 1)).astype(np.int64),
        event_video=video,
        blend=blend,
    )


def warm() -> None:
    """Import what `build` needs, ahead of it, in a process that has nothing else to do."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a thread that waits takes no time from the rest of a build
    for name in ("scipy.sparse", "threadpoolctl", "implicit.cpu.als"):
        importlib.import_module(name)


def popularity(log: Interactions, n_videos: int, *, clock: float, half_life: float, rewards: bool = False) -> Floats:
    """Times each video was shown, each halved every `half_life` days, (n,); rows without a time do not count.

    `rewards`: the sum of rewards in place of times shown.
    """
    dated = log.at != NO_DATE
    weight = np.exp2(-np.maximum(clock - log.at[dated], 0.0) / (half_life * SECONDS_PER_DAY))
    if rewards:
        weight = weight * log.reward[dated]
    times: Floats = np.bincount(log.video[dated], weight, minlength=n_videos).astype(np.float64)
    return times


def beta_prior(rewarded: Floats, shown: Floats) -> tuple[float, float]:
    """a and b of the beta distribution that the videos' mean rewards look drawn from; each (n,).

    Moments of unequal samples: Kleinman, JASA 1973. Where the means spread no more than chance lets them, the prior
    is as strong as it may be.
    """
    known = shown > 0
    r, n = rewarded[known], shown[known]
    total = float(n.sum())
    if not total:
        return 1.0, 1.0
    mean = float(np.clip(r.sum() / total, 1e-6, 1 - 1e-6))
    chance = mean * (1 - mean)
    spread = float(n @ (r / n - mean) ** 2)
    groups = len(n) - 1
    room = total - float(n @ n) / total - groups
    share = (spread / chance - groups) / room if room > 0 else 0.0
    weight = float(np.clip(1 / share - 1, _LEAST, _MOST)) if share > 0 else _MOST
    return mean * weight, (1 - mean) * weight


def als(log: Interactions, n_users: int, n_videos: int, *, seed: int = 0) -> Singles:
    """Factors of the videos from all that was shown, liked or not, (n, FACTORS). Hu, Koren and Volinsky, ICDM 2008.

    Of MOST_VIEWERS who were shown LEAST_SEEN videos; one that none of them was shown has factors of 0.
    """
    seen = _seen(log.user, log.video, n_users, n_videos)
    many = np.diff(seen.indptr)
    telling = np.argsort(-many, kind="stable")[:MOST_VIEWERS]
    seen = seen[np.sort(telling[many[telling] >= LEAST_SEEN])]
    if not seen.nnz:
        return np.zeros((n_videos, FACTORS), np.float32)
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=FACTORS,
            iterations=ITERATIONS,
            regularization=RIDGE,
            alpha=CONFIDENCE,
            random_state=seed,
            num_threads=THREADS,
        )
        model.fit(seen, show_progress=False)
    factors: Singles = np.ascontiguousarray(model.item_factors, np.float32)
    return factors


def neighbours(
    log: Interactions, n_users: int, n_videos: int, *, k: int = NEIGHBOURS
) -> tuple[Indices, Singles, Floats]:
    """The k videos nearest to each by shared viewers: joint / (sqrt(n_i n_j) + SHRINK), nearest first, (n, k) each.

    Third, (n,): the mean closeness of a video to those that do not have it among their neighbours, which stands in for
    each of them. Of each viewer the newest events count, as many as taste is read from.
    """
    user, video = newest(log.user, log.video, HISTORY)
    seen = _seen(user, video, n_users, n_videos)
    root = np.sqrt(np.asarray(seen.sum(axis=0), np.float64).ravel())
    k = min(k, n_videos)
    viewers = seen.T.tocsr()
    index = np.empty((n_videos, k), np.int32)
    value = np.zeros((n_videos, k), np.float32)
    left, holders = np.zeros(n_videos), np.zeros(n_videos)
    for first in range(0, n_videos, _ROWS):
        joint = (viewers[first : first + _ROWS] @ seen).tocoo()
        one, other = joint.row.astype(np.int64), joint.col.astype(np.int64)
        closeness = (joint.data / (root[one + first] * root[other] + SHRINK)).astype(np.float32)
        apart = one + first != other  # nobody is their own neighbour
        one, other, closeness = _nearest_first(one[apart], other[apart], closeness[apart])
        place = _places(one)
        near = place < k
        left += np.bincount(other[~near], closeness[~near], n_videos)
        rows = slice(first, min(first + _ROWS, n_videos))
        index[rows] = _strangers(one[near], other[near], rows.stop - first, k)
        index[one[near] + first, place[near]] = other[near]
        value[one[near] + first, place[near]] = closeness[near]
        holders += np.bincount(index[rows].ravel(), minlength=n_videos)
    return index, value, left / np.maximum(n_videos - holders, 1.0)


def _strangers(one: Ints, other: Ints, rows: int, k: int) -> Ints:
    """Behind what each row has, from the left: the first videos that share no viewer with it, (rows, k)."""
    shared = np.zeros((rows, k), np.bool_)
    low = other < k  # more are not needed
    shared[one[low], other[low]] = True
    free = np.argsort(shared, axis=1, kind="stable")
    gap = np.arange(k) - np.bincount(one, minlength=rows)[:, None]
    found: Ints = np.take_along_axis(free, np.maximum(gap, 0), axis=1)
    return found


def _nearest_first(one: Ints, other: Ints, closeness: Singles) -> tuple[Ints, Ints, Singles]:
    """The same triples by `one`, then the nearest first, then by `other`: as one key, which sorts ten times as fast.

    The bits of a float of at least 0 stand in the order of floats; one below 2 leaves the first two unset.
    """
    far = np.int64((1 << 30) - 1) - closeness.view(np.int32).astype(np.int64)
    key = np.sort(one << 54 | far << 24 | other)
    bits = (np.int64((1 << 30) - 1) - (key >> 24 & (1 << 30) - 1)).astype(np.int32)
    return key >> 54, key & (1 << 24) - 1, bits.view(np.float32)


def newest(user: Indices, video: Indices, most: int) -> tuple[Indices, Indices]:
    """Of rows that stand oldest first, each user's newest distinct videos, newest first, at most so many.

    Users in ascending order; (rows kept,) each.
    """
    order = np.lexsort((-np.arange(len(user)), user))
    user, video = user[order], video[order]
    pairs = user.astype(np.int64) * (int(video.max(initial=0)) + 1) + video
    first = np.zeros(len(pairs), np.bool_)
    first[np.unique(pairs, return_index=True)[1]] = True
    user, video = user[first], video[first]
    near = _places(user) < most
    return user[near], video[near]


def _places(group: Ints | Indices) -> Ints:
    """How many rows of the same group stand before each; groups are ascending."""
    first = np.ones(len(group), np.bool_)
    first[1:] = group[1:] != group[:-1]
    places: Ints = np.arange(len(group)) - np.flatnonzero(first)[np.cumsum(first) - 1]
    return places


def _seen(user: Indices, video: Indices, n_users: int, n_videos: int):  # type: ignore[no-untyped-def]  # scipy has no types
    from scipy.sparse import csr_matrix

    seen = csr_matrix((np.ones(len(user), np.float32), (user, video)), (n_users, n_videos))
    seen.data[:] = 1.0  # pairs that came more than once
    return seen
