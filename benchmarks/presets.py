"""A feed under `learned` beside one under `classic`: processor time, by turns, over the same requests.

    python -m benchmarks.presets --videos 1962 --videos 19620

Prints a JSON line for each size: medians in ms of processor time, and their ratios: under the initial policies, and of
`classic` under one that has learned, which leaves fewer videos out unscored.
"""

import argparse
import gc
import json
import time
from dataclasses import replace

import numpy as np
from benchmarks import catalogue
from benchmarks.contest import UPDATES
from benchmarks.learned import learned_policy
from benchmarks.requests import asked

from talentfeed.contracts import Snapshot
from talentfeed.evidence import Interactions, Signals
from talentfeed.ranking import feed, viewer
from talentfeed.ranking.presets import preset
from talentfeed.snapshot import signals

_WARM_UP, _VIEWERS = 30, 1_000


def evidence(snapshot: Snapshot) -> Signals:
    """The signals that a build makes of the histories."""
    users = snapshot.users
    order = np.argsort(users.history_at, kind="stable")
    owner = np.repeat(np.arange(len(users.id)), np.diff(users.history_start))
    log = Interactions(
        user=owner[order].astype(np.int32),
        video=np.asarray(users.history_video)[order],
        at=np.asarray(users.history_at)[order],
        reward=np.asarray(users.history_liked)[order].astype(np.float64),
    )
    return signals.build(log, len(users.id), len(snapshot.videos.id), clock=catalogue.NOW)


def measure(videos: int, feeds: int, *, updates: int = UPDATES, seed: int = 0) -> dict[str, float]:
    """Medians in ms of processor time, viewer included."""
    made = catalogue.make(videos, _VIEWERS, seed)
    snapshot = replace(made.snapshot, signals=evidence(made.snapshot))
    classic, other = preset("classic"), preset("learned")
    rankers = {
        "classic": feed.prepare(snapshot, feed.initial_policy(classic), classic),
        "classic_that_learned": feed.prepare(snapshot, learned_policy(made, updates, seed), classic),
        "learned": feed.prepare(snapshot, feed.initial_policy(other), other),
    }
    taken: dict[str, list[int]] = {name: [] for name in rankers}
    events = []
    gc.collect()
    gc.disable()
    for one in asked(made, feeds + _WARM_UP, seed):
        for name, ranker in rankers.items():
            began = time.thread_time_ns()
            who = viewer.read(snapshot, one.user_id)
            feed.rank(ranker, who, one.request, now=one.now, seed=one.seed)
            taken[name].append(time.thread_time_ns() - began)
        events.append(len(who.evidence))
    gc.enable()
    ms = {name: float(np.median(values[_WARM_UP:])) / 1e6 for name, values in taken.items()}
    found = {f"{name}_ms": round(value, 4) for name, value in ms.items()}
    found |= {f"of_{name}": round(ms["learned"] / ms[name], 2) for name in ("classic", "classic_that_learned")}
    return {"videos": videos, "feeds": feeds, "events": float(np.median(events)), **found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, action="append")
    parser.add_argument("--feeds", type=int, default=400)
    given = parser.parse_args()
    for size in given.videos or [1_962, 19_620]:
        print(json.dumps(measure(size, given.feeds)), flush=True)
