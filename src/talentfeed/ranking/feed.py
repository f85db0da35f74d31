"""The kernel: (snapshot, policy, viewer, request, now, seed) → Slate. Pure: no I/O, no clock, no global randomness.

The stages that a request runs through are compiled: `native/score.c` and `native/slate.c`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import FeedRequest, Floats, Ints, Kind, Policy, Pool, Slate, Snapshot, Viewer
from talentfeed.errors import PatternError, PolicyError
from talentfeed.ranking import board, features, learned, linucb, native, sound
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.catalogue import Arranged
from talentfeed.ranking.kernel import Kernel
from talentfeed.ranking.learned import Learned
from talentfeed.ranking.presets import Preset, preset

_KINDS = {"total": (Kind.VIDEO, Kind.FLOW), "discover": (Kind.VIDEO,), "flow": (Kind.FLOW,)}
LEARNING = native.LEARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranker:
    """A snapshot and a policy, with what they imply for every request. Immutable; shared by all threads."""

    snapshot: Snapshot
    policy: Policy
    preset: Preset
    epsilon: float
    kernel: Kernel


def initial_policy(preset: Preset = preset("classic")) -> Policy:  # noqa: B008  # immutable
    """The policy that nothing was learned for: version `initial`."""
    fresh = linucb.initial() if preset.learned is None else learned.initial(preset.learned)
    return Policy(version="initial", bandits=dict.fromkeys(preset.bandits, fresh))


def prepare(
    snapshot: Snapshot,
    policy: Policy,
    preset: Preset,
    *,
    epsilon: float | None = None,
    before: Ranker | None = None,
) -> Ranker:
    """Derive once what does not depend on the request. `epsilon` stands in for the preset's.

    `before`: a ranker; where it is of the same snapshot, what depends on that alone is taken over.
    Raises PolicyError if a pool's bandit is missing or damaged, or epsilon is no share; SnapshotError if the snapshot
    is damaged, or lacks the signals that the preset needs; KernelMissingError if the kernel is not compiled.
    """
    share = preset.epsilon if epsilon is None else epsilon
    if not 0.0 <= share <= 1.0:
        raise PolicyError(f"epsilon {share}: the share of exploration is between 0 and 1")
    missing = [pool for pool in preset.bandits if pool not in policy.bandits]
    if missing:
        raise PolicyError(f"policy {policy.version}: no bandit for {', '.join(missing)}; start from the initial policy")
    known = before is not None and before.snapshot is snapshot
    if not known:
        sound.check(snapshot)
    fixed = np.asarray(snapshot.videos.features)
    most_influence = viewers.influence(int(np.diff(snapshot.users.connection_start).max(initial=0)))
    arranged = before.kernel.arranged if before is not None and known else Arranged.of(snapshot)
    single: Learned | None = None
    boards: dict[Pool, board.Board] = {}
    if preset.learned is not None:
        single = Learned.of(snapshot, policy.bandits[Pool.AFFINITY], policy.counts, preset)
    else:
        boards = _boards(arranged, fixed, policy, preset, most_influence)
    kernel = Kernel(arranged, boards, single, preset, epsilon=share, most_influence=most_influence)
    return Ranker(snapshot=snapshot, policy=policy, preset=preset, epsilon=share, kernel=kernel)


def _boards(
    arranged: Arranged, fixed: Floats, policy: Policy, preset: Preset, most_influence: float
) -> dict[Pool, board.Board]:
    return {
        pool: board.board(
            arranged,
            pool,
            linucb.prepare(
                policy.bandits[pool], fixed, features.MOVING, alpha=preset.of(pool).alpha, beta=preset.of(pool).beta
            ),
            preset.of(pool),
            fixed,
            feature_noise=preset.feature_noise,
            most_influence=most_influence,
        )
        for pool in LEARNING
    }


def rank(
    ranker: Ranker,
    viewer: Viewer,
    request: FeedRequest,
    *,
    now: float,
    seed: int,
    draw_seed: int | None = None,
    prune: bool = True,
) -> Slate:
    """One page. `now` is in seconds UTC; `seed`, of up to 128 bits, is all the chance there is in it.

    `draw_seed` stands in for it in the draws alone: other draws from the same distributions, the noise held.
    `prune=False` scores every video: it changes the time, never the slate.
    Raises PatternError for an unknown endpoint, RequestMisfitError if viewer or request are of another snapshot.
    """
    kinds = _KINDS.get(request.endpoint)
    if kinds is None:
        raise _unknown(request.endpoint)
    asked = ranker.kernel.ask(viewer, request, kinds, now=now, seed=seed, draw_seed=draw_seed, prune=prune)
    slate = asked.slate()
    asked.leave()
    return slate


def video_scores(ranker: Ranker, viewer: Viewer, now: float, seed: int) -> dict[Pool, Floats]:
    """The score of every video in each learning pool, (videos,) each: to the bit what ranks them."""
    asked = ranker.kernel.look(viewer, now=now, seed=seed)
    if ranker.kernel.learned:  # one bandit scores for all of them
        found = dict.fromkeys(LEARNING, asked.scores(LEARNING[0]))
    else:
        found = {pool: asked.scores(pool) for pool in LEARNING}
    asked.leave()
    return found


def retrieved(ranker: Ranker, viewer: Viewer, request: FeedRequest, now: float) -> dict[Pool, Ints] | None:
    """The rows of each learning pool that are scored for a request; None where all candidates are."""
    if not ranker.kernel.learned:
        return None
    asked = ranker.kernel.ask(viewer, request, (Kind.VIDEO,), now=now, seed=0)
    asked.candidates()
    found = asked.retrieved()
    asked.leave()
    return found


def moving_columns(ranker: Ranker, viewer: Viewer, rows: Sequence[int] | Ints, now: float, seed: int) -> Floats:
    """The columns `features.MOVING` of some videos, (rows, 7); under `learned` all features, scaled, (rows, 20)."""
    asked = ranker.kernel.look(viewer, now=now, seed=seed)
    found = asked.moving(np.asarray(rows, np.int64))
    asked.leave()
    return found


def video_features(ranker: Ranker, viewer: Viewer, rows: Sequence[int] | Ints, *, now: float, seed: int) -> Floats:
    """The features of some videos, (rows, 18); under `learned` scaled, with two more, (rows, 20)."""
    rows = np.asarray(rows, np.int64)
    moving = moving_columns(ranker, viewer, rows, now, seed)
    if ranker.preset.learned is not None:
        return moving
    x = np.asarray(ranker.snapshot.videos.features)[rows]
    x[:, features.MOVING] = moving
    return x


def flow_scores(ranker: Ranker, viewer: Viewer, now: float, seed: int) -> Floats:
    """The score of every flow, (flows,)."""
    asked = ranker.kernel.look(viewer, now=now, seed=seed)
    found = asked.flow_scores()
    asked.leave()
    return found


def parse_pattern(text: str) -> tuple[Pool, ...]:
    """A slot pattern from its codes, separated by blanks or commas, upper or lower case.

    Raises PatternError if a code is unknown or no pool of videos is named: `discover` serves nothing else.
    """
    known = {str(pool): pool for pool in Pool}
    codes = text.replace(",", " ").split()
    unknown = sorted({code for code in codes if code.upper() not in known})
    if unknown:
        raise PatternError(f"pattern {text!r}: no pool is called {', '.join(unknown)}; use {' '.join(known)}")
    pattern = tuple(known[code.upper()] for code in codes)
    if all(pool is Pool.FLOW for pool in pattern):
        raise PatternError(f"pattern {text!r}: names no pool of videos; use at least one of VMP AU NU EXPLORE")
    return pattern


def pattern_for(endpoint: str, pattern: Sequence[Pool]) -> tuple[Pool, ...]:
    """The pattern of an endpoint: `total` as it is, `discover` without flows, `flow` flows alone.

    Raises PatternError for any other endpoint.
    """
    if endpoint not in _KINDS:
        raise _unknown(endpoint)
    if endpoint == "flow":
        return (Pool.FLOW,)
    if endpoint == "discover":
        return tuple(pool for pool in pattern if pool is not Pool.FLOW)
    return tuple(pattern)


def _unknown(endpoint: str) -> PatternError:
    return PatternError(f"endpoint {endpoint!r}: there is no such feed; use one of {', '.join(_KINDS)}")
