"""The preset `learned`, made ready: retrieval by the blend, then one bandit over scaled features (`native/learned.c`).

Scaled features are the 18, each divided by what it may come to and cut off at 1, then the blend and the posterior mean
of the video's reward. Shapes: n videos, d = N_SCALED.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from talentfeed.contracts import FEATURE_NAMES, BanditState, Counts, Floats, Ints, Snapshot
from talentfeed.errors import PolicyError, SnapshotError
from talentfeed.evidence import ITEM_SIGNALS, SUITING, VIEWER_SIGNALS, Blend, Signals
from talentfeed.ranking import features, linucb, native
from talentfeed.ranking.presets import LearnedWeights, Preset

BLEND, POSTERIOR_MEAN = "blend", "posterior_mean"
NAMES = (*FEATURE_NAMES, BLEND, POSTERIOR_MEAN)
# What a feature may come to, roughly; those not named stay within 1 as they are.
_MOST = {"recency": features.BOOST, "quality": 6.0, "popularity": 10.0, "exploration_noise": 0.3}
SCALE: Floats = np.array([1.0 / _MOST.get(name, 1.0) for name in FEATURE_NAMES])
_STRENGTH = 20.0  # impressions that a video's prior mean weighs
_STEADY = 100.0  # impressions that the present level of rewards weighs against those counted


def names_of(preset: Preset) -> tuple[str, ...]:
    """What a preset's bandits see of a video, in the order of their columns."""
    return FEATURE_NAMES if preset.learned is None else NAMES


@dataclass(frozen=True, slots=True)
class Learned:
    """What `native.Learned` points to, of a snapshot and a policy."""

    signals: Signals
    warm: Floats  # (n,)
    cold: Floats  # (n,)
    fixed: Floats  # (n, d)
    derived: linucb.Derived
    root: Floats  # (d, d) by column
    weights: LearnedWeights
    alpha: float
    beta: float

    @classmethod
    def of(cls, snapshot: Snapshot, state: BanditState, counts: Counts | None, preset: Preset) -> Self:
        """Arrange once a snapshot and policy.

        Raises SnapshotError where the snapshot has no signals; PolicyError for a bandit that is damaged or of other
        features.
        """
        signals, weights = snapshot.signals, preset.learned
        if signals is None or weights is None:
            raise SnapshotError(
                f"snapshot {snapshot.manifest.version} has no signals, which the preset {preset.name} ranks by; "
                "`talentfeed build` makes one that has, or set PRESET=classic"
            )
        if state.b.shape != (len(NAMES),):
            raise PolicyError(f"a bandit of {len(state.b)} features: the preset {preset.name} has {len(NAMES)}")
        derived = linucb.derive(state)
        warm, cold = items_part(signals)
        fixed = np.zeros((len(snapshot.videos.id), len(NAMES)))
        fixed[:, : len(FEATURE_NAMES)] = np.clip(np.asarray(snapshot.videos.features) * SCALE, 0.0, 1.0)
        fixed[:, NAMES.index(POSTERIOR_MEAN)] = posterior_means(cold, snapshot.videos.id, counts)
        root = np.linalg.solve(np.linalg.cholesky(state.A), np.eye(len(NAMES)))
        return cls(
            signals=signals,
            warm=warm + signals.blend.taste_level,
            cold=cold + signals.blend.profile_level,
            fixed=fixed,
            derived=derived,
            root=np.ascontiguousarray(root.T),
            weights=weights,
            alpha=preset.affinity.alpha,
            beta=preset.affinity.beta,
        )

    def point(self, to: native.Learned) -> None:
        """Fill what a catalogue says of the preset. It is valid while this object lives."""
        known = self.signals
        to.on, to.n_factors, to.n_near = 1, known.factors.shape[1], known.neighbour.shape[1]
        native.fill(
            to,
            {
                **{name: getattr(known, name) for name in ("factors", "gram", "apart", "closeness")},
                "near": known.neighbour,
                **{name: getattr(self, name) for name in ("warm", "cold", "fixed")},
            },
        )
        to.confidence = known.confidence
        to.als, to.co_view = (known.blend.warm[name] for name in VIEWER_SIGNALS)
        to.profile, to.taste = (
            type(to.taste)(*(weights[name] for name in SUITING)) for weights in (known.blend.profile, known.blend.taste)
        )
        to.scale = type(to.scale)(*SCALE[list(features.MOVING)])
        to.theta = type(to.theta)(*self.derived.theta)
        for line, values in enumerate(self.root):
            to.root[line] = type(to.root[line])(*values)
        to.alpha, to.beta_variance = self.alpha, self.beta * self.derived.variance
        to.most = type(to.most)(*(self.weights.retrieved[pool] for pool in native.LEARNING))


def initial(weights: LearnedWeights) -> BanditState:
    """The bandit before any reward: so many rewards' trust in the weights that the preset starts from."""
    theta = np.array([weights.start.get(name, 0.0) for name in NAMES])
    return BanditState(
        A=weights.trust * np.eye(len(NAMES)),
        b=weights.trust * theta,
        error_n=0.0,
        error_sum=0.0,
        error_sum2=0.0,
        rewards=0,
    )


def items_part(signals: Signals) -> tuple[Floats, Floats]:
    """What the blend says of each video whoever looks, (n,): for viewers with events, and without.

    Without the levels of what suits the viewer.
    """
    known: Blend = signals.blend
    warm = known.warm_level + signals.items @ np.array([known.warm[name] for name in ITEM_SIGNALS])
    cold = known.cold_level + signals.items @ np.array([known.cold[name] for name in ITEM_SIGNALS])
    return np.ascontiguousarray(warm), np.ascontiguousarray(cold)


def posterior_means(
    cold: Floats,  # (n,) the blend for a viewer without events
    ids: Ints,  # (n,) ascending
    counts: Counts | None,
) -> Floats:
    """Of each video's reward, (n,): what the blend says as a prior, on the level of the rewards counted since."""
    prior: Floats = 0.5 * (1.0 + np.tanh(0.5 * cold))  # the logistic function, without overflow
    if counts is None or not len(counts.id) or not len(prior):
        return prior
    rows = np.searchsorted(ids, counts.id)
    known = rows < len(prior)
    known[known] = ids[rows[known]] == counts.id[known]
    rows = rows[known]
    shown, rewarded = np.zeros(len(prior)), np.zeros(len(prior))
    shown[rows], rewarded[rows] = counts.shown[known], counts.rewarded[known]
    steady = _STEADY * float(prior.mean())
    level = (steady + float(rewarded.sum())) / (steady + float(shown @ prior))
    means: Floats = (_STRENGTH * np.minimum(level * prior, 1.0) + rewarded) / (_STRENGTH + shown)
    return np.clip(means, 0.0, 1.0)
