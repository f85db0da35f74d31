"""What was shown to whom and what came of it, from all that the platform keeps: what the signals are made of."""

from dataclasses import dataclass

import ibis
import numpy as np
import pyarrow as pa
from ibis import ir

from talentfeed.contracts import NO_DATE, Ints
from talentfeed.evidence import Interactions
from talentfeed.snapshot.workbench import kept

LIKED_RATING, LIKED_WATCH = 3.0, 0.5
LIKED_TYPES = ("save", "match")


def liked(acts: ir.Table) -> ir.BooleanColumn:
    """Whether each of these (interaction_type, rating, watch_ratio) says that its user likes the video."""
    return (
        acts.interaction_type.isin(LIKED_TYPES)
        | ((acts.interaction_type == "rating") & (acts.rating >= LIKED_RATING))
        | ((acts.interaction_type == "view") & (acts.watch_ratio >= LIKED_WATCH))
    ).fill_null(False)


def table(events: ir.Table, views: ir.Table, users: ir.Table) -> ir.Table:
    """user_id, video_id, at (seconds, null where unknown), reward: one row for a user, a video and a second.

    From what people did, however long ago, and the views of those who were signed in. The reward is the one that the
    data came with, else 1 where it was liked; a view that only says that there was one has 0.
    """
    told = kept(events)
    told = told.filter(~told.is_flow)
    told = told.select(
        "user_id",
        "at",
        video_id=told.item_id,
        reward=ibis.coalesce(told.reward, ibis.ifelse(liked(told), 1.0, 0.0)),
    )
    seen = kept(views).semi_join(users, [("user_id", "id")])
    seen = seen.select("user_id", "at", video_id=seen.item_id, reward=ibis.literal(0.0))
    rows = ibis.union(told, seen)
    found = rows.group_by("user_id", "video_id", second=rows["at"].floor())
    return found.aggregate(at=rows["at"].min(), reward=rows.reward.max()).drop("second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The exposures by rows of users and videos in the order of their ids, as a snapshot has them."""

    rows: Interactions  # those without a time first; of equal times in the order of the ids
    n_users: int
    n_videos: int


def log(exposures: ir.Table, users: ir.Table, videos: ir.Table) -> Log:
    """The exposures of `table` as arrays; users and videos: all that the snapshot has, with `id`."""
    owners, shown = _ids(users), _ids(videos)
    found: pa.Table = exposures.to_pyarrow()
    user, video, at, reward = (found.column(name).to_numpy() for name in ("user_id", "video_id", "at", "reward"))
    at = np.where(np.isnan(at), NO_DATE, at)
    order = np.lexsort((video, user, at))
    rows = Interactions(
        user=np.searchsorted(owners, user[order]).astype(np.int32),
        video=np.searchsorted(shown, video[order]).astype(np.int32),
        at=at[order],
        reward=reward[order].astype(np.float64),
    )
    return Log(rows=rows, n_users=len(owners), n_videos=len(shown))


def _ids(table: ir.Table) -> Ints:
    ids: Ints = np.sort(table.select("id").to_pyarrow().column("id").to_numpy().astype(np.int64))
    return ids
