"""What was shown to whom and what came of it, from all that the platform keeps: what the signals are made of."""

from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import NO_DATE
from talentfeed.evidence import Interactions
from talentfeed.snapshot.numbering import rows_of
from talentfeed.snapshot.workbench import Workbench


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The exposures by rows of users and videos in the order of their ids, as a snapshot has them."""

    rows: Interactions  # those without a time first; of equal times in the order of the ids
    n_users: int
    n_videos: int


def log(bench: Workbench) -> Log:
    """The exposures as arrays, by the users and videos that the snapshot has."""
    owners, shown = (
        np.sort(bench.fetch(name).column("id").to_numpy().astype(np.int64)) for name in ("users", "servable")
    )
    found = bench.fetch("exposures")
    user, video, at, reward = (found.column(name).to_numpy() for name in ("user_id", "video_id", "at", "reward"))
    at = np.where(np.isnan(at), NO_DATE, at)
    row, item = rows_of(owners, user), rows_of(shown, video)
    order = np.lexsort((row * len(shown) + item, at))
    rows = Interactions(
        user=row[order].astype(np.int32),
        video=item[order].astype(np.int32),
        at=at[order],
        reward=reward[order].astype(np.float64),
    )
    return Log(rows=rows, n_users=len(owners), n_videos=len(shown))
