"""LinUCB: `score` and `update`. SPEC 6; Li et al., A contextual-bandit approach to personalized news, WWW 2010.

A and b stay exact; theta and the factorisation are derived from them when needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from talentfeed.contracts import N_FEATURES, BanditState, Floats
from talentfeed.errors import PolicyError
from talentfeed.ranking.presets import DECAY, KNOWN_REWARDS, PRIOR_VARIANCE

# Far above any feature or reward there is, far below where I + sum x x^T loses its ridge in float64.
MAX_FEATURE = 100.0
MAX_REWARD = 100.0
# A grows from I and forgetting pulls it back to I, so its inverse stays near 1; more says the state is damaged.
_MAX_DERIVED = 1e8


@dataclass(frozen=True, slots=True)
class Derived:
    """What a state says, ready to score with."""

    theta: Floats  # (d,) A^-1 b
    inverse: Floats  # (d, d) A^-1, symmetric
    variance: float  # adaptive variance


@dataclass(frozen=True, slots=True)
class Scores:
    """UCB in its three parts, each (n,)."""

    mean: Floats  # theta^T x
    uncertainty: Floats  # alpha sqrt(x^T A^-1 x)
    adaptive: Floats  # beta sigma^2 x^T A^-1 x

    @property
    def ucb(self) -> Floats:
        """Their sum."""
        return self.mean + self.uncertainty + self.adaptive


def initial(d: int = N_FEATURES) -> BanditState:
    """A bandit that knows nothing: A = I, b = 0."""
    return BanditState(A=np.eye(d), b=np.zeros(d), error_n=0.0, error_sum=0.0, error_sum2=0.0, rewards=0)


def adaptive_variance(state: BanditState) -> float:
    """Decayed variance of the prediction errors; a constant until ten rewards are known."""
    if state.rewards < KNOWN_REWARDS or state.error_n <= 0:
        return PRIOR_VARIANCE
    mean = state.error_sum / state.error_n
    return max(state.error_sum2 / state.error_n - mean * mean, 0.0)


def derive(state: BanditState) -> Derived:
    """Theta and the inverse through a Cholesky factorisation.

    Raises PolicyError if the state is not finite, not of one shape, not symmetric or not positive definite.
    """
    d = len(state.b)
    if state.A.shape != (d, d) or state.b.shape != (d,):
        raise PolicyError(f"a bandit of shapes A {state.A.shape} and b {state.b.shape}: want (d, d) and (d,)")
    sums = (state.error_n, state.error_sum, state.error_sum2)
    if not (np.isfinite(state.A).all() and np.isfinite(state.b).all() and np.isfinite(sums).all()):
        raise PolicyError("a bandit's state is not finite; start again from the initial policy")
    if state.error_n < 0 or state.error_sum2 < 0 or state.rewards < 0:
        raise PolicyError("a bandit's error sums or rewards are negative; start again from the initial policy")
    if not np.array_equal(state.A, state.A.T):
        raise PolicyError("a bandit's A is not symmetric; start again from the initial policy")
    try:
        factor = np.linalg.cholesky(state.A)
    except np.linalg.LinAlgError:
        raise PolicyError("a bandit's A is not positive definite; start again from the initial policy") from None
    root = np.linalg.solve(factor, np.eye(d))
    inverse = root.T @ root
    theta = root.T @ (root @ state.b)
    variance = adaptive_variance(state)
    if not (_tame(inverse) and _tame(theta) and variance <= _MAX_DERIVED):
        raise PolicyError("a bandit's state is out of range; start again from the initial policy")
    return Derived(theta, inverse, variance)


def score(
    state: BanditState,
    x: Floats,  # (n, d)
    *,
    alpha: float,
    beta: float,
) -> Scores:
    """UCB of each row: theta^T x + alpha sqrt(x^T A^-1 x) + beta sigma^2 x^T A^-1 x. Raises PolicyError."""
    known = derive(state)
    if x.ndim != 2 or x.shape[1] != len(state.b):
        raise PolicyError(f"features of shape {x.shape}: want (n, {len(state.b)})")
    if not np.isfinite(x).all():
        raise PolicyError("features are not finite")
    width = np.maximum(np.einsum("ij,ij->i", x @ known.inverse, x), 0.0)
    return Scores(x @ known.theta, alpha * np.sqrt(width), beta * known.variance * width)


def update(
    state: BanditState,
    x: Floats,  # (d,) the features as they were served
    reward: float,
) -> BanditState:
    """The state after one reward. The error is taken before learning from it.

    Raises PolicyError if x or the reward is not finite, of another shape or out of range; the state is not changed.
    """
    return update_many(state, x[None, :] if x.ndim == 1 else x, [reward])


def update_many(
    state: BanditState,
    x: Floats,  # (n, d)
    rewards: Sequence[float] | Floats,  # (n,)
) -> BanditState:
    """The state after these rewards in this order; all or, where one is refused, none. Raises as `update`."""
    values = np.asarray(rewards, np.float64)
    d = len(state.b)
    if x.ndim != 2 or x.shape[1] != d or values.shape != x.shape[:1]:
        raise PolicyError(f"features of shape {x.shape} and rewards of shape {values.shape}: want (n, {d}) and (n,)")
    # written so that NaN fails too
    if not (np.abs(x) <= MAX_FEATURE).all():
        raise PolicyError(f"a feature is not a number within ±{MAX_FEATURE:g}; nothing was learned")
    if not (np.abs(values) <= MAX_REWARD).all():
        raise PolicyError(f"a reward is not a number within ±{MAX_REWARD:g}; nothing was learned")
    derive(state)
    a, b = state.A.copy(), state.b.copy()
    n, total, total2 = state.error_n, state.error_sum, state.error_sum2
    for row, value in zip(x, values.tolist(), strict=True):
        error = value - float(np.linalg.solve(a, b) @ row)
        n, total, total2 = DECAY * n + 1.0, DECAY * total + error, DECAY * total2 + error * error
        a += np.outer(row, row)
        b += value * row
    return replace(state, A=a, b=b, error_n=n, error_sum=total, error_sum2=total2, rewards=state.rewards + len(values))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A bandit over a catalogue: what the fixed columns contribute is known, the moving columns are added.

    With x = s + D z (s the fixed columns, z the moving ones): theta^T x = theta^T s + theta_D^T z and
    x^T M x = s^T M s + z^T (2 M_DS s + M_DD z), M = A^-1.
    """

    base: Floats  # (n,) theta^T s
    base_width: Floats  # (n,) s^T M s
    theta: Floats  # (m,) theta_D
    cross: Floats  # (m, n) 2 M_DS s
    inverse: Floats  # (m, m) M_DD
    alpha: float
    beta_variance: float


def prepare(
    state: BanditState,
    fixed: Floats,  # (n, d), the moving columns 0
    moving: Sequence[int],
    *,
    alpha: float,
    beta: float,
) -> Prepared:
    """Derive once what scoring a catalogue under this state needs. Raises PolicyError."""
    known = derive(state)
    if fixed.ndim != 2 or fixed.shape[1] != len(state.b):
        raise PolicyError(f"a bandit of {len(state.b)} features over a catalogue of {fixed.shape[1:]}: they differ")
    columns = list(moving)
    product = fixed @ known.inverse
    return Prepared(
        base=fixed @ known.theta,
        base_width=np.einsum("ij,ij->i", product, fixed),
        theta=known.theta[columns],
        cross=np.ascontiguousarray(2.0 * product[:, columns].T),
        inverse=known.inverse[np.ix_(columns, columns)],
        alpha=alpha,
        beta_variance=beta * known.variance,
    )


def _tame(values: Floats) -> bool:
    return bool((np.abs(values) <= _MAX_DERIVED).all())
