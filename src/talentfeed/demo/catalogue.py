"""Videos: the servable ones and those that a real catalogue has beside them."""

import sqlite3
from collections.abc import Callable
from typing import Any

import numpy as np

from talentfeed.demo import draws, words
from talentfeed.demo.draws import Floats, Ints
from talentfeed.demo.people import KNOWLEDGES, NO_LISTS, ODD_ELEMENTS, SKILLS, TOOLS, spoil
from talentfeed.demo.world import DAY, MEDIA, World, write
from talentfeed.errors import TalentFeedError

STAGE = 2
FIRST_FLOW, FIRST_VIDEO = 500, 100_000
BLACKLISTED = tuple(f"{MEDIA}/resumes/blacklisted-{number}.mp4" for number in range(1, 6))  # in data/blacklist.csv

# What is in the table and never in a feed: kind, how many at today's scale.
HIDDEN = (
    ("draft videos", 220),
    ("videos in review", 60),
    ("deleted videos", 90),
    ("videos without URL", 15),
    ("videos with an empty URL", 5),
    ("test uploads", 12),
    ("blacklisted videos", 8),
    ("videos of deleted users", 25),
    ("videos of nobody", 15),
)


def write_videos(world: World, connection: sqlite3.Connection, progress: Callable[[float], None]) -> None:
    """Resumes, oldest first; sets what the later stages need of the servable ones on `world`."""
    rng = world.rng(STAGE)
    servable = world.sizes.videos
    kinds = [""] * servable
    for kind, today in HIDDEN:
        kinds += [kind] * world.some(today)
        world.dirt[kind] += world.some(today)
    n = len(kinds)
    age = np.concatenate([_ages(rng, servable), _ages(rng, n - servable)])
    order = np.argsort(-age, kind="stable")
    kinds, age, is_servable = [kinds[i] for i in order.tolist()], age[order], order < servable
    created = world.now - np.floor(age * DAY)
    ids = ascending_ids(rng, n, first=first_video(world))
    creator = np.zeros(n, np.int64)
    creator[is_servable] = _creators(world, rng, created[is_servable])
    creator[~is_servable] = 1 + (rng.random(n - servable) * world.joined_before(created[~is_servable])).astype(np.int64)
    loyal = (rng.random(n) < 0.85) & (creator > 0)
    of_field = np.where(loyal, world.user_field[np.maximum(creator, 1) - 1], draws.fields(rng, n))

    world.video_id, world.hidden_id = ids[is_servable], ids[~is_servable]
    world.video_field, world.video_creator = of_field[is_servable], creator[is_servable]
    world.video_created = created[is_servable]
    world.video_appeal = rng.lognormal(0.0, 1.3, servable)
    progress(0.3)

    creators: list[Any] = [int(c) or None for c in creator]
    status, gone = ["send"] * n, [None] * n
    urls: list[Any] = [
        f"{MEDIA}/resumes/{i}/{slug}-{tail:06x}.mp4"
        for i, slug, tail in zip(
            ids.tolist(), draws.texts(rng, words.SLUGS, n), rng.integers(16**6, size=n).tolist(), strict=True
        )
    ]
    changed: list[Any] = draws.stamps(created + (world.now - created) * rng.random(n) ** 3)
    for row in np.flatnonzero(~is_servable).tolist():
        match kinds[row]:
            case "draft videos":
                status[row] = "draft"
            case "videos in review":
                status[row] = "pending"
            case "deleted videos":
                gone[row] = changed[row]
            case "videos without URL":
                urls[row] = None
            case "videos with an empty URL":
                urls[row] = ""
            case "test uploads":
                urls[row] = f"{MEDIA}/resumes/{ids[row]}/{words.TEST_SLUGS[row % len(words.TEST_SLUGS)]}.mp4"
            case "blacklisted videos":
                urls[row] = BLACKLISTED[row % 4]
            case "videos of deleted users":
                creators[row] = world.sizes.users + 1 + int(rng.integers(world.deleted_users))
            case "videos of nobody":
                creators[row] = world.nobody + row
            case other:
                raise TalentFeedError(f"the demo does not know how to write {other!r}")
    world.video_url = [urls[row] for row in np.flatnonzero(is_servable).tolist()]

    lists = _lists(world, rng, of_field, is_servable)
    times: list[Any] = draws.stamps(created)
    _spoil_times(world, rng, times, np.flatnonzero(is_servable & (age > 60)))
    columns: list[Any] = [ids.tolist(), creators, urls, rng.integers(0, 500, n).tolist(), *lists]
    columns += [_descriptions(rng, of_field), status, times, changed, gone]
    columns += [draws.without(rng, [f"{MEDIA}/resumes/{i}/cover.jpg" for i in ids.tolist()], 0.4)]
    write(connection, "resumes", columns)
    exhibited = _popular(world, rng, world.some(300))
    nowhere = world.nothing + np.arange(world.some(5))
    world.dirt["exhibitions of nothing"] += len(nowhere)
    write(connection, "resumes_exhibited", [[*exhibited.tolist(), *nowhere.tolist()]])
    progress(1.0)


def first_video(world: World) -> int:
    """Video ids start above every flow id."""
    return max(FIRST_VIDEO, 10 * (FIRST_FLOW + world.sizes.flows))


def ascending_ids(rng: np.random.Generator, n: int, *, first: int) -> Ints:
    """n ids with the gaps that deleted rows leave; on average every second one is taken."""
    return first + np.cumsum(rng.geometric(0.5, n))


def _ages(rng: np.random.Generator, n: int) -> Floats:
    """Days: a third below 45, the rest up to 400 and thinning out."""
    new = round(n / 3)
    young = 0.05 + 44.0 * rng.random(new)
    return np.concatenate([young, 45.5 + 354.5 * rng.beta(1.0, 1.4, n - new)])


def _creators(
    world: World,
    rng: np.random.Generator,
    created: Floats,  # (servable,)
) -> Ints:
    """A user id a video: every creator has one video at least, a few have many; one video has none (0)."""
    videos, creators = world.sizes.videos, world.sizes.creators
    # Cut off, lest under some seed one creator owns the catalogue.
    weights = np.minimum(rng.pareto(1.6, creators) + 0.3, 60.0)
    who = np.concatenate([np.arange(creators), rng.choice(creators, videos - 1 - creators, p=weights / weights.sum())])
    who = np.insert(rng.permutation(who), rng.integers(videos), -1)
    first = np.full(creators, np.inf)
    np.minimum.at(first, who[who >= 0], created[who >= 0])
    limit = world.joined_before(first)
    user = np.zeros(creators, np.int64)
    todo = np.arange(creators)
    while len(todo):
        user[todo] = 1 + (rng.random(len(todo)) * limit[todo]).astype(np.int64)
        _, keep = np.unique(user, return_index=True)
        todo = np.setdiff1d(np.arange(creators), keep)
    world.dirt["videos without creator"] += 1
    return np.where(who >= 0, user[who], 0)


def _popular(world: World, rng: np.random.Generator, n: int) -> Ints:
    """Ids of n videos, the appealing ones more often."""
    weights = world.video_appeal / world.video_appeal.sum()
    return world.video_id[rng.choice(world.sizes.videos, n, p=weights)]


def _lists(world: World, rng: np.random.Generator, of_field: Ints, is_servable: np.ndarray) -> list[list[Any]]:
    n = len(of_field)
    servable = np.flatnonzero(is_servable)
    skills = SKILLS.lists(rng, of_field, rng.choice(9, n, p=(0.02, 0.05, 0.12, 0.20, 0.22, 0.19, 0.10, 0.06, 0.04)))
    knowledges = draws.without(rng, KNOWLEDGES.lists(rng, of_field, rng.integers(0, 5, n)), 0.15)
    tools = draws.without(rng, TOOLS.lists(rng, of_field, rng.integers(0, 5, n)), 0.15)
    languages = draws.without(rng, draws.lists(rng, words.LANGUAGES, n, most=4), 0.10)
    roles = draws.without(rng, draws.lists(rng, words.ROLES, n, most=3), 0.10)
    for row in rng.choice(servable, min(len(servable), world.some(40)), replace=False).tolist():
        skills[row] = None
    for column in (skills, tools, roles):
        world.dirt["bad JSON in videos"] += spoil(rng, column, words.BAD_JSON, 0.003)
    world.dirt["non-text in videos' arrays"] += spoil(rng, skills, ODD_ELEMENTS, 0.006)
    world.dirt["JSON but no list in videos"] += spoil(rng, knowledges, NO_LISTS, 0.002)
    return [skills, knowledges, tools, languages, roles]


def _spoil_times(world: World, rng: np.random.Generator, times: list[Any], old: Ints) -> None:
    """One servable video without a date and some from the future; old ones, so that as many stay new."""
    rows = rng.choice(old, min(len(old), 1 + world.some(3)), replace=False).tolist()
    for number, row in enumerate(rows):
        if number == 0:
            times[row] = None
            world.dirt["videos without date"] += 1
        else:
            times[row] = draws.stamps(np.array([world.now + (2_000 + 100 * number) * DAY]))[0]
            world.dirt["videos with a date in the future"] += 1


def _descriptions(rng: np.random.Generator, of_field: Ints) -> list[Any]:
    n = len(of_field)
    skills = draws.picked(SKILLS.plain, SKILLS.one(rng, of_field))
    names, openings = draws.texts(rng, words.FIRST_NAMES, n), draws.texts(rng, words.OPENINGS, n)
    filled = [o.format(skill=s, name=name) for o, s, name in zip(openings, skills, names, strict=True)]
    return draws.without(rng, filled, 0.04)
