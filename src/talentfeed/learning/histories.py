"""A snapshot whose users have done less: what is judged, or fitted on, must not be known yet."""

from dataclasses import replace

import numpy as np

from talentfeed.contracts import Bools, Snapshot


def kept(snapshot: Snapshot, keep: Bools) -> Snapshot:
    """The snapshot with these rows of the histories alone, (interactions,); its signals stay as they are."""
    users = snapshot.users
    rows = np.concatenate([[0], np.cumsum(keep)])
    return replace(
        snapshot,
        users=replace(
            users,
            history_start=np.ascontiguousarray(rows[np.asarray(users.history_start)].astype(np.int64)),
            history_video=np.ascontiguousarray(np.asarray(users.history_video)[keep]),
            history_liked=np.ascontiguousarray(np.asarray(users.history_liked)[keep]),
            history_kind=np.ascontiguousarray(np.asarray(users.history_kind)[keep]),
            history_at=np.ascontiguousarray(np.asarray(users.history_at)[keep]),
        ),
    )
