"""What was shown to whom and what came of it, from all that the platform keeps."""

import ibis
from ibis import ir

from talentfeed.snapshot.desk import kept

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
