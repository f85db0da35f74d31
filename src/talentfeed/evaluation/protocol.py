"""The ranking protocol: train before the cut, rank what a user was not shown, count what was liked after it.

Leak-free by construction: a `Split` cannot be made of rows that are not in time before what is judged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import NO_DATE, Floats, Ints, Snapshot
from talentfeed.errors import DatasetError, LeakError
from talentfeed.evidence import Interactions

PLACES = 24
TEST_SHARE = 0.2
RESAMPLES = 1_000
GROUPS = (0, 1, 5, 10, 20, 40)  # earlier events of a user, from

Pages = Callable[[int], Ints]  # a user's row → the rows of up to PLACES videos, best first


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What a policy may know, and what it is judged on.

    Raises LeakError where a training row is not before the cut, or a test row is.
    """

    training: Interactions  # oldest first; rows without a time are earlier history
    test: Interactions
    cut: float  # seconds UTC

    def __post_init__(self) -> None:
        """Look for leaks."""
        late = int(np.count_nonzero(self.training.at >= self.cut))
        early = int(np.count_nonzero(self.test.at < self.cut))
        if late or early:
            raise LeakError(
                f"{late} training rows are not before the cut at {self.cut:.0f} and {early} test rows are: "
                "training and test must be apart in time"
            )


def last_share(history: Interactions, interactions: Interactions, share: float = TEST_SHARE) -> Split:
    """Cut off the last share of the dated interactions. Undated ones may be of any time: they stay out.

    Raises DatasetError where too few have a time.
    """
    times = np.sort(interactions.at[interactions.at != NO_DATE])
    place = int(len(times) * (1 - share))
    if place >= len(times) or times[0] == times[place]:
        raise DatasetError(
            "no cut in time can be made: too few interactions have a time; give a later period by --test"
        )
    cut = float(times[place])
    before = (interactions.at != NO_DATE) & (interactions.at < cut)
    return Split(
        training=_joined(history, _of(interactions, before)), test=_of(interactions, interactions.at >= cut), cut=cut
    )


def with_test(history: Interactions, interactions: Interactions, test: Interactions) -> Split:
    """Judge on a later period of its own, which begins at the cut; what is not before it stays out of the training.

    Raises DatasetError where the test has no row with a time.
    """
    test = _of(test, test.at != NO_DATE)
    if not len(test.at):
        raise DatasetError("the test has no row with a time; accepted: a later period, as interactions.csv.gz")
    cut = float(test.at.min())
    return Split(training=_joined(history, _of(interactions, interactions.at < cut)), test=test, cut=cut)


def check_snapshot(snapshot: Snapshot, cut: float) -> None:
    """Raises LeakError where a snapshot knows anything from the cut on."""
    newest = max(float(np.max(snapshot.users.history_at, initial=0.0)), snapshot.manifest.watermark)
    if newest >= cut:
        raise LeakError(
            f"the snapshot knows of {newest:.0f}, at or after the cut at {cut:.0f}: it was not built before it"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Whom to rank for, and what is right. Users are rows, ascending."""

    n_videos: int
    users: Ints  # (u,) with at least one test positive
    positives: Mapping[int, Ints]  # user → videos liked after the cut that were not shown before
    shown: Mapping[int, Ints]  # user → distinct videos shown before, newest first
    events: Ints  # (u,) earlier events


def task(split: Split, n_users: int, n_videos: int) -> Task:
    """What a split asks for."""
    order = np.argsort(split.training.user, kind="stable")
    start = np.searchsorted(split.training.user[order], np.arange(n_users + 1))
    liked = split.test.reward >= 1.0
    found: dict[int, list[int]] = {}
    for user, video in zip(split.test.user[liked].tolist(), split.test.video[liked].tolist(), strict=True):
        found.setdefault(user, []).append(video)
    shown, positives, events = {}, {}, []
    for user in sorted(found):
        rows = split.training.video[order[start[user] : start[user + 1]]]
        before = np.array(list(dict.fromkeys(rows[::-1].tolist())), np.int64)
        right = np.setdiff1d(found[user], before)
        if len(right):
            positives[user], shown[user] = right, before
            events.append(len(rows))
    return Task(
        n_videos=n_videos,
        users=np.array(sorted(positives), np.int64),
        positives=positives,
        shown=shown,
        events=np.array(events, np.int64),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A policy over all users of a task."""

    recall: Floats  # (u,)
    ndcg: Floats  # (u,)
    coverage: float  # videos shown to anybody / videos


def measure(job: Task, pages: Pages, *, progress: Callable[[float], None] = lambda _done: None) -> Measured:
    """Rank for each user. Raises LeakError where a page holds what was shown before, or one video twice."""
    discount = 1 / np.log2(np.arange(2, PLACES + 2))
    ideal = np.cumsum(discount)
    recall, ndcg = np.zeros(len(job.users)), np.zeros(len(job.users))
    seen = np.zeros(job.n_videos, np.bool_)
    for number, user in enumerate(job.users.tolist()):
        page = pages(user)[:PLACES]
        if np.isin(page, job.shown[user]).any() or len(np.unique(page)) < len(page):
            raise LeakError(f"the page of user row {user} holds a video that is no candidate, or one twice")
        right = job.positives[user]
        hit = np.isin(page, right)
        recall[number] = hit.sum() / len(right)
        ndcg[number] = discount[: len(page)] @ hit / ideal[min(len(right), PLACES) - 1]
        seen[page] = True
        progress((number + 1) / len(job.users))
    return Measured(recall=recall, ndcg=ndcg, coverage=float(seen.mean()))


def interval(values: Floats, *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Of the mean over users, 95 %: percentiles of the bootstrap."""
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def groups(events: Ints) -> Sequence[tuple[str, Ints]]:
    """Users by how much is known of them: (name, places in the task), those without users left out."""
    which = np.searchsorted(GROUPS, events, side="right") - 1
    found = []
    for number, low in enumerate(GROUPS):
        high = GROUPS[number + 1] - 1 if number + 1 < len(GROUPS) else None
        name = f"{low}+" if high is None else f"{low}" if high == low else f"{low}-{high}"
        places = np.flatnonzero(which == number)
        if len(places):
            found.append((name, places))
    return found


def best(scores: Floats, out: Ints, *, places: int = PLACES) -> Ints:
    """The rows of the highest scores but those in `out`, best first; of equal ones the lower row."""
    masked = np.array(scores, np.float64)
    masked[out] = -np.inf
    n = min(places, len(masked))
    edge = np.partition(masked, len(masked) - n)[len(masked) - n]
    rows = np.flatnonzero(masked >= edge)
    rows = rows[np.argsort(-masked[rows], kind="stable")][:n]
    return rows[masked[rows] > -np.inf]


def _of(log: Interactions, keep: np.ndarray) -> Interactions:
    return Interactions(user=log.user[keep], video=log.video[keep], at=log.at[keep], reward=log.reward[keep])


def _joined(one: Interactions, other: Interactions) -> Interactions:
    return Interactions(
        user=np.concatenate([one.user, other.user]),
        video=np.concatenate([one.video, other.video]),
        at=np.concatenate([one.at, other.at]),
        reward=np.concatenate([one.reward, other.reward]),
    )
