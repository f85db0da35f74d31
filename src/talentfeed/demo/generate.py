"""The demo: a made-up platform database at today's scale, with the dirt that real ones have."""

import math
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talentfeed.demo import activity, behaviour, catalogue, flows, people, place
from talentfeed.demo.world import World, plan
from talentfeed.errors import TalentFeedError

SMALLEST, LARGEST = 0.001, 100.0
SECONDS_PER_HOUR = 3_600
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedCounts:
    """How many valid ones of each there are, and how many dirty ones of each kind come on top or in between."""

    users: int
    videos: int  # servable
    creators: int  # of servable videos
    flows: int  # servable
    ratings: int
    saves: int
    matches: int
    client_views: int
    interactions: int  # the four before together
    connections: int  # accepted
    views: int  # of servable videos
    dirt: Mapping[str, int]


def generate(
    path: Path,
    *,
    scale: float = 1.0,
    seed: int = 7,
    now: float | None = None,
    progress: Progress = lambda _stage, _done: None,
) -> GeneratedCounts:
    """Make the demo database at `path`, whole or not at all.

    The rows depend on `scale`, `seed` and `now` (seconds since 1970, by default the clock; taken down to the full hour)
    and on nothing else. `progress` is called with the stage (users, videos, flows, behaviour, activity) and its share.
    Raises TalentFeedError for a scale or seed out of range, SourceError where something is at `path` already.
    """
    if not SMALLEST <= scale <= LARGEST:
        raise TalentFeedError(f"scale {scale}: accepted: {SMALLEST} to {LARGEST:g}; 1 is today's scale")
    if seed < 0:
        raise TalentFeedError(f"seed {seed}: accepted: a whole number of at least 0")
    hour = math.floor((time.time() if now is None else now) / SECONDS_PER_HOUR) * SECONDS_PER_HOUR

    def fill(connection: sqlite3.Connection) -> tuple[place.Made, GeneratedCounts]:
        world = plan(scale=scale, seed=seed, now=float(hour))
        people.write_people(world, connection, lambda done: progress("users", done))
        catalogue.write_videos(world, connection, lambda done: progress("videos", done))
        flows.write_flows(world, connection, lambda done: progress("flows", done))
        saves = behaviour.write_behaviour(world, connection, lambda done: progress("behaviour", done))
        activity.write_activity(world, connection, behaviour.crowd(world), saves)
        progress("activity", 1.0)
        return place.Made(made_by="demo", seed=seed, scale=scale, now=world.now), _counts(world)

    return place.make(path, fill)


def _counts(world: World) -> GeneratedCounts:
    sizes = world.sizes
    return GeneratedCounts(
        users=sizes.users,
        videos=sizes.videos,
        creators=int(np.count_nonzero(np.unique(world.video_creator))),
        flows=sizes.flows,
        ratings=sizes.ratings,
        saves=sizes.saves,
        matches=sizes.matches,
        client_views=sizes.client_views,
        interactions=sizes.interactions,
        connections=sizes.connections,
        views=sizes.views,
        dirt=dict(sorted(world.dirt.items())),
    )
