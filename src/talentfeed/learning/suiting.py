"""How well videos suit viewers by their profile, as if they were new, and by the taste that they had before a time.

The two columns are the kernel's own, read from a viewer made of less: what is fitted is what will rank.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from talentfeed.contracts import NO_DATE, Floats, Ints, Snapshot, Viewer
from talentfeed.evidence import SUITING
from talentfeed.learning.histories import kept
from talentfeed.ranking import features
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.feed import initial_policy, moving_columns, prepare
from talentfeed.ranking.presets import preset

_COLUMNS = [features.MOVING.index(column) for column in (5, 6)]  # skill similarity, extended match


class Suiting:
    """Looks from a snapshot's users, by row, at its videos, by row."""

    def __init__(self, snapshot: Snapshot, *, before: float, unknown: Mapping[int, Ints]) -> None:
        """`before`: seconds UTC; what was done later is not known yet. `unknown`: user → videos of which nothing is.

        Raises as `prepare`.
        """
        plain = preset("classic")  # of another preset the two columns are the same, and it needs no signals
        self._ranker = prepare(replace(snapshot, signals=None), initial_policy(plain), plain)
        users = snapshot.users
        owner = np.repeat(np.arange(len(users.id)), np.diff(users.history_start))
        later = (users.history_at != NO_DATE) & (users.history_at >= before)
        pairs = owner * len(snapshot.videos.id) + users.history_video
        hidden = [user * len(snapshot.videos.id) + videos for user, videos in unknown.items()]
        later |= np.isin(pairs, np.concatenate(hidden) if hidden else np.zeros(0, np.int64))
        self._early = kept(self._ranker.snapshot, ~later)
        self._new = kept(self._ranker.snapshot, np.zeros_like(later))

    def by_profile(self, user: int, videos: Ints) -> Floats | None:
        """SUITING of these videos, (videos, 2), with all that the user did hidden; None: the profile says nothing."""
        viewer = viewers.read(self._new, int(self._new.users.id[user]))
        return self._columns(viewer, videos) if viewer.has_skills or len(viewer.tokens) else None

    def by_taste(self, user: int, videos: Ints) -> Floats:
        """SUITING of these videos, (videos, 2), with what the user had done."""
        return self._columns(viewers.read(self._early, int(self._early.users.id[user])), videos)

    def _columns(self, viewer: Viewer, videos: Ints) -> Floats:
        found: Floats = moving_columns(self._ranker, viewer, videos, self._ranker.snapshot.manifest.watermark, 0)
        assert len(_COLUMNS) == len(SUITING)  # noqa: S101 - two names of one thing
        return found[:, _COLUMNS]
