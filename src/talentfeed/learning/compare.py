"""What if: policies judged on the feeds that this service served, with the rewards that came of them. Pure.

The log is of all places whose choice was a draw. Of each the probability that the policy judged gives it, with the
viewer, the noise and the places before as they were, stands against the one that was logged; see `off_policy`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import msgspec
import numpy as np

from talentfeed.contracts import Floats, Ints, Kind, Policy, Pool, Snapshot
from talentfeed.errors import LogError, PatternError, SnapshotError, TalentFeedError
from talentfeed.learning import off_policy
from talentfeed.learning.off_policy import Choices, Estimate, Judgement
from talentfeed.lookup import rows_of
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.counterfactual import chances
from talentfeed.ranking.feed import Ranker, parse_pattern, pattern_for, prepare
from talentfeed.ranking.presets import PoolWeights, Preset, preset
from talentfeed.ranking.record import FeedRecord, VersionGoneError

POOLS = ("popular", "affinity", "fresh", "flow")
_MODEL_WEIGHT = 50.0  # impressions of the mean in DR's model of an item's reward
_WEIGHTS = tuple(field.name for field in fields(PoolWeights))
FORM = (
    "`logged`, or changes to it, comma-separated: policy=VERSION, preset=NAME, epsilon=SHARE, pattern=CODES (blanks "
    f"between), POOL.WEIGHT=NUMBER with a pool of {', '.join(POOLS)} and a weight such as match or alpha"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a policy does otherwise than the one that served. None: nothing."""

    name: str  # as it was written
    policy: str | None = None
    preset: str | None = None
    epsilon: float | None = None
    pattern: Sequence[Pool] | None = None
    weights: Mapping[tuple[str, str], float]  # (pool, weight) -> value


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A feed with what came of it. n = places."""

    record: FeedRecord
    reward: Floats  # (n,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Policies judged on one log."""

    feeds: int
    skipped: Mapping[str, int]  # feeds that could not be judged on, by reason
    policies: Mapping[str, Judgement]
    differences: Mapping[str, Mapping[str, Estimate]]  # of each but the first: what it earns more than the first


def parse(text: str) -> Change:
    """A policy as it is written. Raises LogError, which says what is accepted."""
    values: dict[str, str] = {}
    for part in [] if text.strip() == "logged" else text.split(","):
        name, found, value = part.partition("=")
        if not found or not value.strip() or name.strip() in values:
            raise LogError(f"--policy {text!r}: {part.strip()!r} is no change; accepted: {FORM}")
        values[name.strip()] = value.strip()
    weights: dict[tuple[str, str], float] = {}
    try:
        for name in [name for name in values if "." in name]:
            pool, _, weight = name.partition(".")
            if pool not in POOLS or weight not in _WEIGHTS:
                raise LogError(
                    f"--policy {text!r}: there is no {name}; weights are {', '.join(_WEIGHTS)}; accepted: {FORM}"
                )
            weights[pool, weight] = float(values.pop(name))
        change = Change(
            name=text.strip(),
            policy=values.pop("policy", None),
            preset=values.pop("preset", None),
            epsilon=float(values.pop("epsilon")) if "epsilon" in values else None,
            pattern=parse_pattern(values.pop("pattern")) if "pattern" in values else None,
            weights=weights,
        )
        if change.preset is not None:
            preset(change.preset)
    except (ValueError, PatternError) as error:
        raise LogError(f"--policy {text!r}: {error}; accepted: {FORM}") from error
    if values:
        raise LogError(f"--policy {text!r}: there is no {', '.join(values)}; accepted: {FORM}")
    return change


def compare(
    log: Sequence[Served],
    changes: Sequence[Change],
    *,
    load: Callable[[str], Snapshot],
    policy: Callable[[str, Preset], Policy],
    seed: int = 0,
    resamples: int = off_policy.RESAMPLES,
    progress: Callable[[str, float], None] = lambda _, __: None,
) -> Comparison:
    """Judge each on the same places. `load`: the snapshot of a version, or SnapshotError. `policy`: of a version, or
    VersionGoneError. Raises LogError where nothing can be judged on, or a change does not fit what was served.
    """
    rows: dict[str, list[tuple[float, float, float, float, float]]] = {change.name: [] for change in changes}
    feed_of: list[int] = []
    skipped: dict[str, int] = {}
    means = _means(log)
    rankers = _Rankers(load, policy)
    used = 0
    for number, one in enumerate(log):
        progress("feeds", number / len(log))
        try:
            found = [_of_feed(one, change, rankers, means) for change in changes]
        except (SnapshotError, VersionGoneError) as error:
            reason = "snapshot is gone" if isinstance(error, SnapshotError) else "policy is gone"
            skipped[reason] = skipped.get(reason, 0) + 1
            continue
        kept = [place for place in range(len(one.reward)) if all(of_change[place] for of_change in found)]
        for change, of_change in zip(changes, found, strict=True):
            rows[change.name] += [row for place in kept if (row := of_change[place]) is not None]
        feed_of += [number] * len(kept)
        used += 1
    progress("feeds", 1.0)
    if not feed_of:
        raise LogError(
            f"no feed of {len(log)} can be judged on ({skipped or 'none is logged yet'}): with POLICY_MODE shadow or "
            "online they are logged once their reward is known; and their snapshots must still be here"
        )
    choices = {name: _choices(values, np.array(feed_of)) for name, values in rows.items()}
    first, *others = choices
    return Comparison(
        feeds=used,
        skipped=skipped,
        policies={name: off_policy.judge(one, seed=seed, resamples=resamples) for name, one in choices.items()},
        differences={
            name: off_policy.differences(choices[first], choices[name], seed=seed, resamples=resamples)
            for name in others
        },
    )


def _choices(rows: Sequence[tuple[float, float, float, float, float]], feed: Ints) -> Choices:
    reward, logged, target, predicted, expected = np.array(rows).T
    return Choices(
        reward=reward,
        logged=logged,
        target=np.minimum(target, 1.0),
        feed=feed,
        predicted=predicted,
        expected=expected,
    )


_Means = Mapping[tuple[int, int], float]


def _means(log: Sequence[Served]) -> tuple[_Means, float]:
    """DR's model: the mean reward of each item, shrunk to that of all."""
    shown: dict[tuple[int, int], list[float]] = {}
    for one in log:
        for slot, reward in zip(one.record.slots, one.reward.tolist(), strict=True):
            shown.setdefault((int(slot.kind), slot.id), []).append(reward)
    everything = [reward for rewards in shown.values() for reward in rewards]
    mean = sum(everything) / max(len(everything), 1)
    return {
        item: (sum(rewards) + _MODEL_WEIGHT * mean) / (len(rewards) + _MODEL_WEIGHT) for item, rewards in shown.items()
    }, mean


class _Rankers:
    """Rankers by what they are made of; the last few."""

    def __init__(self, load: Callable[[str], Snapshot], policy: Callable[[str, Preset], Policy]) -> None:
        self._load, self._policy = load, policy
        self._snapshots: dict[str, Snapshot] = {}
        self._known: dict[tuple[object, ...], Ranker] = {}
        self._last: Ranker | None = None  # what it derived from its snapshot the next may use
        self._worth: dict[str, Mapping[Kind, Floats]] = {}

    def of(self, record: FeedRecord, change: Change) -> Ranker:
        version = change.policy or record.policy
        name = change.preset or record.preset
        epsilon = record.epsilon if change.epsilon is None else change.epsilon
        key = (record.snapshot, version, name, epsilon, tuple(change.weights.items()))
        if key not in self._known:
            if len(self._known) > 64:
                self._known.clear()
            try:
                chosen = _changed(preset(name), change)
            except PatternError as error:
                raise VersionGoneError(str(error)) from error
            snapshot = self.snapshot(record.snapshot)
            try:
                self._last = self._known[key] = prepare(
                    snapshot, self._policy(version, preset(name)), chosen, epsilon=epsilon, before=self._last
                )
            except VersionGoneError:
                if change.policy is not None:
                    raise LogError(f"--policy {change.name!r}: policy {version} is not kept any more") from None
                raise
            except (TalentFeedError, ValueError) as error:
                raise LogError(f"--policy {change.name!r} cannot rank: {error}") from error
        return self._known[key]

    def snapshot(self, version: str) -> Snapshot:
        if version not in self._snapshots:
            self._snapshots[version] = self._load(version)
        return self._snapshots[version]

    def worth(self, version: str, means: tuple[_Means, float]) -> Mapping[Kind, Floats]:
        """By row: what the model says of each item of a snapshot."""
        if version not in self._worth:
            snapshot, (known, mean) = self.snapshot(version), means
            self._worth[version] = {
                kind: np.array([known.get((int(kind), item), mean) for item in ids.tolist()])
                for kind, ids in ((Kind.VIDEO, snapshot.videos.id), (Kind.FLOW, snapshot.flows.id))
            }
        return self._worth[version]


def _changed(chosen: Preset, change: Change) -> Preset:
    for (pool, weight), value in change.weights.items():
        former: PoolWeights = getattr(chosen, pool)
        whole = int(value) if weight in ("size", "overdraw", "among") else value
        chosen = replace(chosen, **{pool: replace(former, **{weight: whole})})  # type: ignore[arg-type]
    return chosen


def _of_feed(
    one: Served, change: Change, rankers: _Rankers, means: tuple[_Means, float]
) -> list[tuple[float, float, float, float, float] | None]:
    """Of each place: reward, logged and target probability, the model's reward of the choice, its mean."""
    record = one.record
    ranker = rankers.of(record, change)
    snapshot = ranker.snapshot
    listings = {Kind.VIDEO: snapshot.videos.id, Kind.FLOW: snapshot.flows.id}
    served = []
    for slot in record.slots:
        rows, known = rows_of(listings[slot.kind], np.array([slot.id], np.int64))
        if not known[0]:
            raise VersionGoneError(f"feed {record.feed_id} has an item that its snapshot has not")
        served.append((slot.kind, int(rows[0])))
    request = record.request
    if change.pattern is not None:
        request = msgspec.structs.replace(request, pattern=pattern_for(request.endpoint, change.pattern))
    worth = rankers.worth(record.snapshot, means)
    found = chances(
        ranker,
        viewers.read(snapshot, record.user_id, record.events),
        request,
        served,
        now=record.now,
        seed=record.seed,
        worth=worth,
    )
    return [
        None
        if chance is None
        else (reward, slot.probability, chance.of_choice, float(worth[kind][row]), chance.expected)
        for chance, slot, (kind, row), reward in zip(found, record.slots, served, one.reward.tolist(), strict=True)
    ]
