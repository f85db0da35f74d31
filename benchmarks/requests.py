"""What is asked of every contestant: many viewers, first and second pages, a clock that goes on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from benchmarks.catalogue import NOW, Catalogue

from talentfeed.contracts import CREATOR_WINDOW, FeedRequest, Snapshot
from talentfeed.ranking import feed

SIZE = 24
PATTERN = feed.parse_pattern("VMP AU AU VMP NU FW")
_SECONDS_BETWEEN = 1.7


@dataclass(frozen=True, slots=True)
class Asked:
    """One feed to make."""

    user_id: int
    request: FeedRequest
    now: float
    seed: int


def asked(catalogue: Catalogue, n: int, seed: int, endpoint: str = "total") -> Iterator[Asked]:
    """n feeds: each viewer once before any comes again; every second feed is a second page."""
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(catalogue.viewers)
    for number in range(n):
        yield Asked(
            user_id=int(order[number % len(order)]),
            request=_page(catalogue.snapshot, rng, endpoint, first=number % 2 == 0),
            now=NOW + number * _SECONDS_BETWEEN,
            seed=int.from_bytes(rng.bytes(16), "little"),
        )


def _page(snapshot: Snapshot, rng: np.random.Generator, endpoint: str, *, first: bool) -> FeedRequest:
    shown = rng.integers(len(snapshot.videos.id), size=0 if first else SIZE)
    return FeedRequest(
        endpoint=endpoint,
        pattern=feed.pattern_for(endpoint, PATTERN),
        size=SIZE,
        excluded_ids=snapshot.videos.id[shown],
        recent_creators=[(code,) for code in snapshot.videos.creator[shown][1 - CREATOR_WINDOW :].tolist()],
        shown_flows=np.zeros(0, np.int32),
    )
