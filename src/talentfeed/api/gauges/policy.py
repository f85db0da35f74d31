"""The policy that ranks: its version, and what each pool's bandit knows. What learning does stands beside it."""

from collections.abc import Iterator

import numpy as np
from prometheus_client.core import Metric

from talentfeed.api.meters import gauges
from talentfeed.api.service import Service
from talentfeed.contracts import Policy
from talentfeed.ranking import linucb


class PolicyGauges:
    """Derives a policy's figures once a version."""

    def __init__(self) -> None:
        self._of: Policy | None = None
        self._norms: dict[str, float] = {}
        self._uncertainty: dict[str, float] = {}
        self._rewards: dict[str, float] = {}

    def collect(self, service: Service) -> Iterator[Metric]:
        """Without samples where there is no snapshot yet."""
        serving = service.serving
        policy = None if serving is None else serving.ranker.policy
        if policy is not None and policy is not self._of:
            self._derive(policy)
        yield gauges(
            "talentfeed_policy_info",
            "The policy that ranks",
            "version",
            {} if policy is None else {policy.version: 1.0},
        )
        for name, text, values in (
            ("theta_norm", "Length of a bandit's theta: 0 knows nothing", self._norms),
            (
                "uncertainty",
                "Mean width sqrt(x^T A^-1 x) over the unit vectors: 1 knows nothing, towards 0 knows all",
                self._uncertainty,
            ),
            ("rewards", "Rewards that the bandit has learned from", self._rewards),
        ):
            yield gauges(f"talentfeed_bandit_{name}", text, "pool", values)

    def _derive(self, policy: Policy) -> None:
        derived = {pool.value: linucb.derive(state) for pool, state in policy.bandits.items()}
        self._norms = {pool: float(np.linalg.norm(known.theta)) for pool, known in derived.items()}
        self._uncertainty = {
            pool: float(np.sqrt(np.maximum(np.diag(known.inverse), 0.0)).mean()) for pool, known in derived.items()
        }
        self._rewards = {pool.value: float(state.rewards) for pool, state in policy.bandits.items()}
        self._of = policy
