"""Who and what the demo is about, before any row is written: sizes, clock, and who does things."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from talentfeed.demo import draws, schema
from talentfeed.demo.draws import Floats, Ints
from talentfeed.demo.words import FIELDS

RESUME = r"App\Interacpedia\Resumes\Resume"
CHALLENGE = r"App\Interacpedia\Challenges\Challenge"
USER = r"App\User"
MEDIA = "https://media.talentpitch.co"

DAY = 86_400.0
YEARS = 1_300 * DAY  # age of the oldest account
GROWTH = 1.2  # of accounts over time; 1 = steady


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many valid ones of each; what is dirty comes on top."""

    users: int
    videos: int
    creators: int
    flows: int
    ratings: int
    saves: int
    matches: int
    client_views: int
    connections: int
    views: int

    @property
    def interactions(self) -> int:
        """Ratings, saves, matches and client-reported views."""
        return self.ratings + self.saves + self.matches + self.client_views


def sizes(scale: float) -> Sizes:
    """Today's scale, multiplied. Every count is at least 1, and there are at least two videos."""

    def scaled(today: int, *, least: int = 1) -> int:
        return max(least, round(today * scale))

    interactions = scaled(20_000, least=8)
    ratings, saves, matches = interactions * 9 // 20, interactions // 4, interactions // 8
    videos = scaled(1_962, least=2)
    return Sizes(
        users=scaled(198_000),
        videos=videos,
        creators=min(scaled(1_200), videos - 1),  # one video has no creator
        flows=scaled(94),
        ratings=ratings,
        saves=saves,
        matches=matches,
        client_views=interactions - ratings - saves - matches,
        connections=scaled(26_000),
        views=scaled(120_000),
    )


@dataclass(kw_only=True)
class World:
    """What the parts of the generator hand to each other. User ids are 1 to `sizes.users`; deleted ones follow."""

    seed: int
    scale: float
    now: float
    sizes: Sizes
    user_field: Ints  # (users,) index in FIELDS
    by_field: Ints  # (users,) user ids grouped by field, the busiest first
    field_start: Ints  # (fields + 1,) row pointers into `by_field`
    dirt: Counter[str] = field(default_factory=Counter)

    # filled by the catalogue
    video_id: Ints = field(default_factory=lambda: np.zeros(0, np.int64))  # (videos,) the servable ones
    video_field: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    video_creator: Ints = field(default_factory=lambda: np.zeros(0, np.int64))  # 0 = none
    video_created: Floats = field(default_factory=lambda: np.zeros(0))
    video_appeal: Floats = field(default_factory=lambda: np.zeros(0))  # lognormal: what makes it seen and rated well
    video_url: list[str] = field(default_factory=list)
    hidden_id: Ints = field(default_factory=lambda: np.zeros(0, np.int64))  # videos that are not servable
    flow_id: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    flow_created: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def deleted_users(self) -> int:
        """How many accounts are deleted."""
        return self.some(400)

    @property
    def nobody(self) -> int:
        """Ids from here on are no user's."""
        return self.sizes.users + self.deleted_users + 1_000

    @property
    def nothing(self) -> int:
        """Ids from here on are no video's."""
        return int(max(self.video_id.max(initial=0), self.hidden_id.max(initial=0))) + 1_000

    def some(self, today: int) -> int:
        """How many dirty ones of a kind, at least one."""
        return max(1, round(today * self.scale))

    def rng(self, stage: int, chunk: int = 0) -> np.random.Generator:
        """The generator of one stage: stages do not disturb each other's draws."""
        return np.random.default_rng([self.seed, stage, chunk])

    def joined(self, user_id: Ints) -> Floats:
        """When these users made their accounts: ids ascend with time, and the last is before `now`."""
        position = user_id - 1 + (user_id * 2_654_435_761 % 1_000) / 1_000
        time: Floats = self.now - YEARS * (1.0 - np.minimum(position / self.sizes.users, 1.0)) ** GROWTH
        return time

    def joined_before(self, time: Floats) -> Ints:
        """How many users had joined by then: ids 1 to this number. At least one."""
        age = np.clip((self.now - time) / YEARS, 0.0, 1.0)
        position = (1.0 - age ** (1.0 / GROWTH)) * self.sizes.users
        return np.maximum(1, np.floor(position).astype(np.int64))

    def people(self, rng: np.random.Generator, of_field: Ints, *, active: float, loyalty: float = 0.65) -> Ints:
        """For each field somebody who does something: of that field mostly, busy people far more often than others."""
        own = rng.random(len(of_field)) < loyalty
        group = np.where(own, of_field, draws.fields(rng, len(of_field)))
        size = np.diff(self.field_start)[group]
        group = np.where(size == 0, self.user_field[0], group)
        size = np.diff(self.field_start)[group]
        busy = np.minimum(size, np.maximum(50, np.ceil(active * size)))
        rank = np.floor(busy * rng.random(len(group)) ** 2.2).astype(np.int64)
        user_id: Ints = self.by_field[self.field_start[group] + np.minimum(rank, size - 1)]
        return user_id


def plan(*, scale: float, seed: int, now: float) -> World:
    """Draw who belongs to which field, and who is busy."""
    size = sizes(scale)
    rng = np.random.default_rng([seed, 0, 0])
    user_field = draws.fields(rng, size.users).astype(np.int8)
    shuffled = rng.permutation(size.users).astype(np.int32)
    by_field = shuffled[np.argsort(user_field[shuffled], kind="stable")]
    start = np.concatenate(([0], np.cumsum(np.bincount(user_field, minlength=len(FIELDS)))))
    return World(
        seed=seed,
        scale=scale,
        now=now,
        sizes=size,
        user_field=user_field.astype(np.int64),
        by_field=by_field.astype(np.int64) + 1,
        field_start=start,
    )


def write(connection: Any, table: str, columns: Sequence[Iterable[Any]]) -> None:
    """Insert rows given by columns, in the order of the table's columns, all of one length."""
    connection.executemany(schema.insert_statement(table), zip(*columns, strict=True))
