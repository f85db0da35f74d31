"""Made-up signals for a snapshot of the factory."""

from dataclasses import replace

import numpy as np

from talentfeed.contracts import HISTORY, Snapshot
from talentfeed.evidence import ITEM_SIGNALS, SUITING, VIEWER_SIGNALS, Blend, Signals


def with_signals(snapshot: Snapshot, seed: int, *, factors: int = 8, neighbours: int = 5) -> Snapshot:
    """The snapshot with signals of all shapes: users without events, with few, with as many as there may be."""
    rng = np.random.default_rng(seed)
    n, users = len(snapshot.videos.id), len(snapshot.users.id)
    most = min(HISTORY, n)
    events = [rng.permutation(n)[: rng.choice([0, 0, 1, 3, most])] for _ in range(users)]
    made = rng.normal(0, 0.5, (n, factors)).astype(np.float32)
    wide = made.astype(np.float64)
    shown = rng.integers(0, 50, n).astype(np.float64)
    k = min(neighbours, n)
    near = np.array([rng.permutation(n)[:k] for _ in range(n)], np.int32).reshape(n, k)
    return replace(
        snapshot,
        signals=Signals(
            items=rng.normal(0, 1, (n, len(ITEM_SIGNALS))),
            prior=(0.5, 4.0),
            shown=shown,
            rewarded=np.floor(shown * rng.random(n)),
            factors=made,
            gram=wide.T @ wide + 3.0 * np.eye(factors),
            confidence=10.0,
            neighbour=near,
            closeness=rng.choice(np.array([0.0, 0.1, 0.7], np.float32), (n, k)),
            apart=rng.choice([0.0, 0.01], n),
            event_start=np.cumsum([0, *map(len, events)]).astype(np.int64),
            event_video=np.concatenate([*events, np.zeros(0)]).astype(np.int32),
            blend=Blend(
                warm=dict(zip((*ITEM_SIGNALS, *VIEWER_SIGNALS), (0.5, 0.2, -0.1, 0.3, 2.0, 0.4), strict=True)),
                cold=dict(zip(ITEM_SIGNALS, (0.9, 0.3, -0.2, 0.1), strict=True)),
                warm_level=-1.0,
                cold_level=-2.0,
                taste=dict(zip(SUITING, (1.5, -0.7), strict=True)),
                profile=dict(zip(SUITING, (2.5, 1.25), strict=True)),
                taste_level=-0.3,
                profile_level=0.4,
            ),
        ),
    )
