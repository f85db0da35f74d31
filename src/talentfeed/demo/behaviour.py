"""What people did: ratings, saves, matches, views, connections."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talentfeed.demo import draws
from talentfeed.demo.draws import Floats, Ints
from talentfeed.demo.world import CHALLENGE, DAY, RESUME, World, write

STAGE = 4
CHUNK = 250_000
ACTIVE = 0.05  # share of the users who rate, save or report anything
SOCIABLE = 0.30  # ... who connect


@dataclass(frozen=True, slots=True)
class Facts:
    """Who did something with which servable video, and when. No pair twice."""

    user_id: Ints
    video: Ints  # index among the servable
    time: Floats


@dataclass(frozen=True, slots=True)
class Crowd:
    """Draws who watches what: the appealing and the long published videos more often."""

    world: World
    cumulated: Floats  # (videos,)

    def videos(self, rng: np.random.Generator, n: int) -> Ints:
        """n servable videos by index."""
        drawn = np.searchsorted(self.cumulated, rng.random(n), side="right")
        return np.minimum(drawn, len(self.cumulated) - 1)

    def facts(self, rng: np.random.Generator, n: int, *, since: float = -np.inf, until: float = np.inf) -> Facts:
        """n facts between two times, none before the video or the account; fewer only where those times allow none."""
        world = self.world
        users, videos = np.zeros(0, np.int64), np.zeros(0, np.int64)
        for _ in range(100):
            more = self.videos(rng, n + 100)
            who = world.people(rng, world.video_field[more], active=ACTIVE)
            fits = (who != world.video_creator[more]) & (self._first(who, more) < until)
            users, videos = np.concatenate([users, who[fits]]), np.concatenate([videos, more[fits]])
            _, keep = np.unique(users * world.sizes.videos + videos, return_index=True)
            keep.sort()
            users, videos = users[keep], videos[keep]
            if len(users) >= n:
                break
        users, videos = users[:n], videos[:n]
        first = np.maximum(self._first(users, videos), since)
        last = min(world.now, until)
        # Soon after publication more happens than later; in a short span it is even.
        share = rng.beta(0.8, 1.5, len(users)) if since == -np.inf else rng.random(len(users))
        return Facts(users, videos, first + (last - first) * share)

    def _first(self, users: Ints, videos: Ints) -> Floats:
        return np.maximum(self.world.joined(users), self.world.video_created[videos])


def crowd(world: World) -> Crowd:
    """The viewers of this catalogue."""
    age = (world.now - world.video_created) / DAY
    weights = np.cumsum(world.video_appeal * np.sqrt(0.2 + age / 30.0))
    return Crowd(world, weights / weights[-1])


def write_behaviour(world: World, connection: sqlite3.Connection, progress: Callable[[float], None]) -> Facts:
    """All tables of this module; returns the saves, some of which a client reports again."""
    people = crowd(world)
    write_ratings(world, connection, people)
    progress(0.1)
    saves = write_saves(world, connection, people)
    write_matches(world, connection, people)
    progress(0.25)
    write_connections(world, connection)
    progress(0.4)
    write_views(world, connection, people, lambda done: progress(0.4 + 0.6 * done))
    return saves


class Strays:
    """Rows beside the valid ones: of whom there is nobody, of what there is nothing or nothing to be shown."""

    def __init__(self, world: World, rng: np.random.Generator, table: str, today: int) -> None:
        """`today`: how many of each sort at today's scale."""
        n = world.some(today)
        nobody = world.nobody + rng.integers(10_000, size=n)
        deleted = world.sizes.users + 1 + rng.integers(world.deleted_users, size=n)
        anybody = 1 + rng.integers(world.sizes.users, size=2 * n)
        shown = rng.choice(world.video_id, 2 * n)
        hidden = rng.choice(world.hidden_id, n)
        nothing = world.nothing + rng.integers(10_000, size=n)
        self.user_id: list[Any] = [*nobody.tolist(), *deleted.tolist(), *anybody.tolist(), None]
        self.model_id: list[Any] = [*shown.tolist(), *hidden.tolist(), *nothing.tolist(), int(shown[0])]
        self.times = draws.stamps(world.now - DAY * (1.0 + 300.0 * rng.random(len(self.user_id))))
        for kind in ("nobody", "deleted users"):
            world.dirt[f"{table} by {kind}"] += n
        for kind in ("hidden videos", "no video"):
            world.dirt[f"{table} of {kind}"] += n
        world.dirt[f"{table} with a null id"] += 1


def _in_order(rng: np.random.Generator, *columns: list[Any]) -> list[list[Any]]:
    """The rows in another order, dirt among the rest."""
    order = rng.permutation(len(columns[0])).tolist()
    return [[column[i] for i in order] for column in columns]


def write_ratings(world: World, connection: sqlite3.Connection, people: Crowd) -> None:
    """team_feedbacks: 1 to 5 in halves; some above 5, which count as 5."""
    rng = world.rng(STAGE, 1)
    facts = people.facts(rng, world.sizes.ratings)
    n = len(facts.user_id)
    liking = np.log(world.video_appeal[facts.video])
    values = np.clip(np.round(2.0 * (3.4 + 0.5 * liking + rng.normal(0.0, 0.9, n))) / 2.0, 1.0, 5.0)
    high = rng.choice(n, min(n, world.some(60)), replace=False)
    values[high] = rng.choice((6.0, 7.0, 10.0, 50.0, 100.0), len(high))
    world.dirt["ratings above 5"] += len(high)
    times: list[Any] = draws.stamps(facts.time)
    rows = rng.choice(n, min(n, world.some(20) + world.some(8)), replace=False).tolist()
    for row in rows[: world.some(20)]:
        times[row] = None
        world.dirt["ratings without date"] += 1
    for row in rows[world.some(20) :]:
        times[row] = draws.stamps(np.array([world.now + 3_000 * DAY]))[0]
        world.dirt["ratings with a date in the future"] += 1
    strays = Strays(world, rng, "ratings", 30)
    worthless = world.some(40)
    nil = people.facts(rng, 2 * worthless)
    other = people.facts(rng, world.some(200))
    world.dirt["ratings of 0 and below"] += worthless
    world.dirt["ratings without value"] += len(nil.user_id) - worthless
    nil_values: list[Any] = [(0.0, -1.0)[i % 2] for i in range(worthless)] + [None] * (len(nil.user_id) - worthless)
    users: list[Any] = [*facts.user_id.tolist(), *nil.user_id.tolist(), *other.user_id.tolist(), *strays.user_id]
    models = [world.video_id[f.video].tolist() for f in (facts, nil, other)]
    types = ["ranking_resume"] * (n + len(nil_values)) + ["ranking_challenge"] * len(other.user_id)
    types += ["ranking_resume"] * len(strays.user_id)
    numbers = [*values.tolist(), *nil_values, *rng.integers(1, 6, len(other.user_id)).tolist()]
    numbers += rng.integers(1, 6, len(strays.user_id)).tolist()
    times += [*draws.stamps(nil.time), *draws.stamps(other.time), *strays.times]
    columns = _in_order(rng, users, [i for m in models for i in m] + strays.model_id, types, numbers, times)
    write(connection, "team_feedbacks", columns)


def write_saves(world: World, connection: sqlite3.Connection, people: Crowd) -> Facts:
    """likes of type `save`, and some of a type that does not count."""
    rng = world.rng(STAGE, 2)
    facts, other = people.facts(rng, world.sizes.saves), people.facts(rng, world.some(300))
    strays = Strays(world, rng, "saves", 20)
    users: list[Any] = [*facts.user_id.tolist(), *other.user_id.tolist(), *strays.user_id]
    models = [*world.video_id[facts.video].tolist(), *world.video_id[other.video].tolist(), *strays.model_id]
    kinds = ["save"] * len(facts.user_id) + ["like"] * len(other.user_id) + ["save"] * len(strays.user_id)
    times = [*draws.stamps(facts.time), *draws.stamps(other.time), *strays.times]
    write(connection, "likes", _in_order(rng, users, models, kinds, times))
    return facts


def write_matches(world: World, connection: sqlite3.Connection, people: Crowd) -> None:
    """matches: accepted ones, and pending and rejected ones."""
    rng = world.rng(STAGE, 3)
    facts, open_ = people.facts(rng, world.sizes.matches), people.facts(rng, world.some(900))
    strays = Strays(world, rng, "matches", 15)
    users: list[Any] = [*facts.user_id.tolist(), *open_.user_id.tolist(), *strays.user_id]
    models = [*world.video_id[facts.video].tolist(), *world.video_id[open_.video].tolist(), *strays.model_id]
    status = ["accepted"] * len(facts.user_id)
    status += [("pending", "pending", "rejected")[i % 3] for i in range(len(open_.user_id))]
    status += ["accepted"] * len(strays.user_id)
    times = [*draws.stamps(facts.time), *draws.stamps(open_.time), *strays.times]
    write(connection, "matches", _in_order(rng, users, models, status, times))


def write_connections(world: World, connection: sqlite3.Connection) -> None:
    """user_connections: accepted pairs, each once; pending and rejected ones, and dirt."""
    rng = world.rng(STAGE, 4)
    accepted, pending, rejected = world.sizes.connections, world.some(4_000), world.some(600)
    n = accepted + pending + rejected
    a, b = _pairs(world, rng, n)
    times: list[Any] = draws.stamps(_met(world, rng, a, b))
    status = ["accepted"] * accepted + ["pending"] * pending + ["rejected"] * rejected
    for row in rng.choice(accepted, min(accepted, world.some(6)), replace=False).tolist():
        times[row] = draws.stamps(np.array([world.now + 4_000 * DAY]))[0]
        world.dirt["connections with a date in the future"] += 1
    left, right = a.tolist(), b.tolist()
    dangling, selves, doublets = world.some(60), world.some(8), world.some(20)
    left += a[:dangling].tolist() + a[:selves].tolist() + b[:doublets].tolist() + [None]
    right += (world.nobody + rng.integers(10_000, size=len(a[:dangling]))).tolist()
    right += a[:selves].tolist() + a[:doublets].tolist() + [int(b[0])]
    deleted = world.some(80)
    left += (world.sizes.users + 1 + rng.integers(world.deleted_users, size=len(b[:deleted]))).tolist()
    right += b[:deleted].tolist()
    extra = len(left) - n
    status += ["accepted"] * extra
    times += draws.stamps(world.now - DAY * (1.0 + 300.0 * rng.random(extra)))
    world.dirt["connections with nobody"] += len(a[:dangling])
    world.dirt["connections with oneself"] += len(a[:selves])
    world.dirt["connections a second time, the other way"] += len(b[:doublets])
    world.dirt["connections with deleted users"] += len(b[:deleted])
    world.dirt["connections with a null id"] += 1
    write(connection, "user_connections", _in_order(rng, left, right, status, times))


def _pairs(world: World, rng: np.random.Generator, n: int) -> tuple[Ints, Ints]:
    """n pairs of users who differ, no pair twice in either direction."""
    a, b = np.zeros(0, np.int64), np.zeros(0, np.int64)
    while len(a) < n:
        of_field = draws.fields(rng, n)
        left = world.people(rng, of_field, active=SOCIABLE)
        right = world.people(rng, of_field, active=SOCIABLE)
        a, b = np.concatenate([a, left[left != right]]), np.concatenate([b, right[left != right]])
        _, keep = np.unique(np.minimum(a, b) * (world.sizes.users + 1) + np.maximum(a, b), return_index=True)
        keep.sort()
        a, b = a[keep], b[keep]
    return a[:n], b[:n]


def _met(world: World, rng: np.random.Generator, a: Ints, b: Ints) -> Floats:
    first = world.joined(np.maximum(a, b))
    return first + (world.now - first) * rng.random(len(a))


def write_views(world: World, connection: sqlite3.Connection, people: Crowd, progress: Callable[[float], None]) -> None:
    """views, a chunk at a time: a third without a user; then those of other things, and dirt."""
    for chunk, first in enumerate(range(0, world.sizes.views, CHUNK)):
        rng = world.rng(STAGE + 1, chunk)
        n = min(CHUNK, world.sizes.views - first)
        videos = people.videos(rng, n)
        users = world.people(rng, world.video_field[videos], active=SOCIABLE)
        since = np.maximum(world.video_created[videos], world.joined(users))
        times: NDArray[np.float64] = since + (world.now - since) * rng.beta(0.7, 1.6, n)
        known = draws.without(rng, users.tolist(), 0.33)
        write(connection, "views", [world.video_id[videos].tolist(), [RESUME] * n, known, draws.stamps(times)])
        progress((first + n) / world.sizes.views)
    _write_stray_views(world, connection)


def _write_stray_views(world: World, connection: sqlite3.Connection) -> None:
    rng = world.rng(STAGE + 1, 1_000_000)
    hidden, nothing, flows = world.some(600), world.some(120), world.some(1_500)
    models: list[Any] = rng.choice(world.hidden_id, hidden).tolist()
    models += [*(world.nothing + rng.integers(10_000, size=nothing)).tolist(), None]
    models += rng.choice(world.flow_id, flows).tolist()
    kinds = [RESUME] * (hidden + nothing + 1) + [CHALLENGE] * flows
    users = (1 + rng.integers(world.sizes.users, size=len(models))).tolist()
    times = draws.stamps(world.now - DAY * 20.0 * rng.random(len(models)))
    write(connection, "views", _in_order(rng, models, kinds, users, times))
    world.dirt["views of hidden videos"] += hidden
    world.dirt["views of no video"] += nothing
    world.dirt["views with a null id"] += 1
