"""What history says before anything was served: a first policy that weighs less than what will be seen.

A viewer's newest interactions are judged with what they had done before these; beside each stands a video drawn
uniformly, which they most likely would not have cared for. Both are features as of the snapshot's day, so nothing of
what came after an interaction but the videos' own counts and signals is in them. The preset `learned` starts from
weights that were fitted offline already: there history weighs no more than these.
"""

from dataclasses import replace

import numpy as np

from talentfeed.contracts import HISTORY_KINDS, Floats, Ints, Snapshot
from talentfeed.evidence import Signals
from talentfeed.impressions import shape_of
from talentfeed.learning import rewards, sums
from talentfeed.learning.histories import kept
from talentfeed.learning.sums import Sums
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.feed import initial_policy, prepare, video_features
from talentfeed.ranking.presets import Preset

VIEWERS = 2_000  # drawn, of those with a history
JUDGED = 5  # newest interactions of each
WEIGHT = 200.0  # impressions that all of it weighs at most; under `learned` its `trust`
SHARE = 0.1  # … and of what there is
_LEAST = 2


def from_history(snapshot: Snapshot, preset: Preset, *, seed: int = 0) -> Sums | None:
    """The first sums, the same for every bandit. None: no history to speak of, or no signals for the preset.

    Raises as `prepare`.
    """
    if preset.learned is not None and snapshot.signals is None:
        return None
    users = snapshot.users
    most = WEIGHT if preset.learned is None else preset.learned.trust
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(np.diff(users.history_start) >= _LEAST)
    if not len(known) or not len(snapshot.videos.id):
        return None
    drawn = np.sort(rng.permutation(known)[:VIEWERS])
    judged = {int(user): _newest(snapshot, int(user)) for user in drawn}
    before = _without(snapshot, judged)
    ranker = prepare(before, initial_policy(preset), preset)
    found = []
    now = snapshot.manifest.watermark
    for user, places in judged.items():
        viewer = viewers.read(before, int(users.id[user]), ())
        liked = np.asarray(users.history_video)[places].astype(np.int64)
        others = rng.integers(len(before.videos.id), size=len(liked))
        rows = np.concatenate([liked, others])
        x = video_features(ranker, viewer, rows, now=now, seed=int(rng.integers(1 << 62)))
        found.append((x, np.concatenate([_rewards(snapshot, places), np.zeros(len(others))])))
    x = np.concatenate([one for one, _ in found])
    reward = np.concatenate([one for _, one in found])
    learned = sums.of_rewards(x, reward, np.zeros(len(reward)), np.ones(len(reward), np.int64))
    # what was expected of history nobody knows: its errors say nothing
    quiet = replace(learned, last=0, error_n=0.0, error_sum=0.0, error_sum2=0.0)
    whole = Sums(bandits=dict.fromkeys(shape_of(preset).bandits, quiet), items=sums.NO_ITEMS, impressions=0, reward=0.0)
    return sums.weighed(whole, min(SHARE, most / len(reward)))


def _newest(snapshot: Snapshot, user: int) -> Ints:
    """Places in the history of the newest interactions, half of a user's at most."""
    first, last = snapshot.users.history_start[user : user + 2].tolist()
    return np.arange(first, first + min(JUDGED, (last - first) // 2))


def _without(snapshot: Snapshot, judged: dict[int, Ints]) -> Snapshot:
    """The snapshot as if these interactions were still to come."""
    keep = np.ones(len(snapshot.users.history_video), np.bool_)
    keep[np.concatenate(list(judged.values()))] = False
    return replace(kept(snapshot, keep), signals=_less(snapshot, judged))


def _less(snapshot: Snapshot, judged: dict[int, Ints]) -> Signals | None:
    """The signals without these users' evidence of what is judged."""
    known = snapshot.signals
    if known is None:
        return None
    start, video = np.asarray(known.event_start), np.asarray(known.event_video)
    keep = np.ones(len(video), np.bool_)
    for user, places in judged.items():
        own = slice(*start[user : user + 2].tolist())
        keep[own] = ~np.isin(video[own], np.asarray(snapshot.users.history_video)[places])
    kept = np.concatenate([[0], np.cumsum(keep)])
    return replace(
        known,
        event_start=np.ascontiguousarray(kept[start].astype(np.int64)),
        event_video=np.ascontiguousarray(video[keep]),
    )


def _rewards(snapshot: Snapshot, places: Ints) -> Floats:
    users = snapshot.users
    kinds, liked = users.history_kind[places].tolist(), users.history_liked[places].tolist()
    return np.array(
        [rewards.of_history(HISTORY_KINDS[kind], liked=good) for kind, good in zip(kinds, liked, strict=True)]
    )
