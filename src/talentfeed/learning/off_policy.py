"""What a policy would have earned, from the log of another one: replay, IPS, SNIPS, DR, each with an interval.

A row of a log is one choice: its reward, the probability with which it was made, and the probability with which the
policy judged would have made it in the same place. Sources: replay is Li et al., WSDM 2011 (for probabilities by
rejection); IPS is Horvitz and Thompson, 1952; SNIPS is Swaminathan and Joachims, NIPS 2015; DR is Dudík et al.,
ICML 2011; the effective sample size is Kish's, 1965.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import Floats, Ints
from talentfeed.errors import LogError

RESAMPLES = 2_000
LEVEL = 0.95
LEAST_SAMPLE = 100.0  # effective rows; with fewer a percentile of resamples says little
LEAST_SHARE = 0.01  # effective rows / rows
LARGEST_ROW = 0.05  # share of all weight that one row may carry
LEAST_REWARDS = 10.0  # effective rewarded rows
_MISSING = 3.0  # standard errors by which the mean weight may be off 1
_CHUNK = 1 << 22  # counts drawn at once, to bound the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """A log, and what the policy judged does with it. n = rows."""

    reward: Floats  # (n,) finite
    logged: Floats  # (n,) probability of the choice under the policy that logged it, in (0, 1]
    target: Floats  # (n,) probability of the same choice under the policy judged, in [0, 1]
    feed: Ints | None = None  # (n,) rows of one feed are resampled together; None: each row on its own
    predicted: Floats | None = None  # (n,) DR's model of the reward of the choice that was made
    expected: Floats | None = None  # (n,) the same model's mean over the choices of the policy judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean reward with its percentile bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A policy judged on a log of another."""

    rows: int
    logged: Estimate  # what the logging policy earned
    estimates: Mapping[str, Estimate]  # replay, ips, snips, and dr where there is a model
    replayed: int  # rows that replay kept
    effective_rows: float  # (sum w)^2 / sum w^2
    effective_rewards: float  # the same of the weighted rewards: how many the estimates really stand on
    mean_weight: float  # near 1 where the log covers the policy
    largest_weight: float
    warnings: Sequence[str]  # why not to conclude from this; none: nothing speaks against it


def judge(choices: Choices, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL) -> Judgement:
    """All estimates over one log. The same seed gives the same intervals, and the same rows to replay.

    Raises LogError where the log is empty, its columns differ in length, or a value is out of range.
    """
    _check(choices)
    rng = np.random.default_rng(seed)
    reward, weight = choices.reward, choices.target / choices.logged
    kept = _replayed(weight, rng)
    ratios = {
        "logged": (reward, np.ones(len(reward))),
        "replay": (reward * kept, kept.astype(np.float64)),
        **_ratios(choices),
    }
    estimates = {
        name: _estimate(value, drawn, level)
        for name, (value, drawn) in _drawn(ratios, choices.feed, rng, resamples).items()
    }
    logged = estimates.pop("logged")
    effective, rewards = _effective(weight), _effective(weight * reward)
    return Judgement(
        rows=len(reward),
        logged=logged,
        estimates=estimates,
        replayed=int(kept.sum()),
        effective_rows=effective,
        effective_rewards=rewards,
        mean_weight=float(weight.mean()),
        largest_weight=float(weight.max()),
        warnings=_warnings(weight, effective, rewards),
    )


def differences(
    first: Choices, other: Choices, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Mapping[str, Estimate]:
    """What `other` would have earned more than `first`, on the same rows of one log: by IPS, SNIPS, and DR where both
    have a model. The bootstrap is paired: each resample of feeds is judged under both and their difference taken, so
    what the two share, such as users who like anything, is in neither end of the interval.

    Raises LogError as `judge`, and where the rows are not the same.
    """
    for one in (first, other):
        _check(one)
    if not all(np.array_equal(a, b) for a, b in ((first.reward, other.reward), (first.logged, other.logged))):
        raise LogError("two policies are compared on the same rows of one log; these are not the same")
    both = {
        f"{number} {name}": pair for number, one in enumerate((first, other)) for name, pair in _ratios(one).items()
    }
    found = _drawn(both, first.feed, np.random.default_rng(seed), resamples)
    return {
        name: _estimate(
            found[f"1 {name}"][0] - found[f"0 {name}"][0], found[f"1 {name}"][1] - found[f"0 {name}"][1], level
        )
        for name in _ratios(first)
        if f"1 {name}" in found
    }


_Ratios = Mapping[str, tuple[Floats, Floats]]


def _ratios(choices: Choices) -> _Ratios:
    """Every estimate is a ratio of sums over rows: what is summed above, and below, (n,) each."""
    reward, weight = choices.reward, choices.target / choices.logged
    ones = np.ones(len(reward))
    found = {"ips": (weight * reward, ones), "snips": (weight * reward, weight)}
    if choices.predicted is not None and choices.expected is not None:
        found["dr"] = (choices.expected + weight * (reward - choices.predicted), ones)
    return found


def _drawn(
    ratios: _Ratios, feed: Ints | None, rng: np.random.Generator, resamples: int
) -> Mapping[str, tuple[float, Floats]]:
    """Of each its value, and its values over resamples of the feeds, (resamples,), the same feeds for all."""
    parts = np.stack([part for pair in ratios.values() for part in pair])
    drawn = _resampled(_by_feed(parts, feed), rng, resamples)
    return {
        name: (float(_ratio(above.sum(), below.sum())), _ratio(drawn[2 * place], drawn[2 * place + 1]))
        for place, (name, (above, below)) in enumerate(ratios.items())
    }


def _estimate(value: float, drawn: Floats, level: float) -> Estimate:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value=value, low=float(low), high=float(high))


def _check(choices: Choices) -> None:
    n = len(choices.reward)
    if not n:
        raise LogError("the log has no rows: nothing can be judged; log some feeds first")
    given = {
        "reward": choices.reward,
        "logged": choices.logged,
        "target": choices.target,
        "feed": choices.feed,
        "predicted": choices.predicted,
        "expected": choices.expected,
    }
    for name, values in given.items():
        if values is None:
            continue
        if values.shape != (n,):
            raise LogError(f"{name} has the shape {values.shape}; accepted: ({n},), a value a row")
        if not np.isfinite(values).all():
            raise LogError(f"{name} is not finite in row {int(np.argmin(np.isfinite(values)))}; leave such rows out")
    if (choices.predicted is None) != (choices.expected is None):
        raise LogError("a model of the reward is given by half: DR needs `predicted` and `expected`")
    for name, low_bad in (("logged", choices.logged <= 0), ("target", choices.target < 0)):
        bad = low_bad | (given[name] > 1)  # type: ignore[operator]  # both are given
        if bad.any():
            row = int(np.argmax(bad))
            raise LogError(f"{name} is {given[name][row]} in row {row}: it is no probability of a choice that was made")  # type: ignore[index]


def _replayed(weight: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Each row stays with probability weight / largest weight: what stays is drawn as the policy judged draws.

    For one that always chooses the same, on a uniform log, this keeps exactly the rows where both agree.
    """
    kept: NDArray[np.bool_] = rng.random(len(weight)) * weight.max() < weight
    return kept


def _by_feed(
    parts: Floats,  # (parts, n)
    feed: Ints | None,
) -> Floats:
    """Sums over the rows of each feed, (parts, feeds)."""
    if feed is None:
        return parts
    _, place = np.unique(feed, return_inverse=True)
    return np.stack([np.bincount(place, weights=part) for part in parts])


def _resampled(
    parts: Floats,  # (parts, units)
    rng: np.random.Generator,
    resamples: int,
) -> Floats:
    """Sums over resampled units, (parts, resamples)."""
    units = parts.shape[1]
    at_once = max(_CHUNK // units, 1)
    sums = []
    for first in range(0, resamples, at_once):
        size = min(at_once, resamples - first)
        picked = rng.integers(units, size=(size, units))
        picked += np.arange(size)[:, None] * units
        times = np.bincount(picked.ravel(), minlength=size * units).reshape(size, units)
        sums.append(parts @ times.T)
    return np.concatenate(sums, axis=1)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Above / below; 0 where there is nothing below."""
    return np.divide(above, below, out=np.zeros_like(np.asarray(above, np.float64)), where=np.asarray(below) > 0)


def _effective(weight: Floats) -> float:
    """As how many rows of one weight these weigh; 0 where none weighs."""
    square = float(weight @ weight)
    return float(weight.sum()) ** 2 / square if square else 0.0


def _warnings(weight: Floats, effective: float, rewards: float) -> list[str]:
    n, found = len(weight), []
    if effective < max(LEAST_SAMPLE, LEAST_SHARE * n):
        found.append(
            f"too little overlap to conclude: {n:,} rows weigh as much as {effective:.0f}; "
            "log more, explore more, or judge a policy nearer to the one that logged"
        )
    elif weight.max() > LARGEST_ROW * weight.sum():
        share = 100 * weight.max() / weight.sum()
        found.append(f"one row carries {share:.0f} % of all weight; the estimate hangs on it")
    if rewards < LEAST_REWARDS:
        found.append(
            f"too few rewards to conclude: those the policy judged would meet weigh as much as {rewards:.1f} rows"
        )
    error = float(weight.std()) / n**0.5
    if abs(float(weight.mean()) - 1) > _MISSING * error + 1e-9:
        found.append(
            f"the weights' mean is {weight.mean():.3f} and should be 1 ± {error:.3f}: the policy judged chooses what "
            "the log never does, or a probability in the log is wrong; IPS and DR are off by as much"
        )
    return found
