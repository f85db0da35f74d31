"""Users and profiles, a chunk at a time."""

import sqlite3
from collections.abc import Callable
from typing import Any

import numpy as np

from talentfeed.demo import draws, words
from talentfeed.demo.draws import Ints, Terms
from talentfeed.demo.world import World, write

STAGE = 1
CHUNK = 100_000

SKILLS, KNOWLEDGES, TOOLS = Terms(words.SKILLS), Terms(words.KNOWLEDGES), Terms(words.TOOLS)

_CITY_WEIGHTS = np.array([city["weight"] for city in words.CITIES], dtype=float)
_CITY_WEIGHTS /= _CITY_WEIGHTS.sum()
_WRITTEN = [text for city in words.CITIES for text in city["written"]]
_WRITTEN_SIZE = np.array([len(city["written"]) for city in words.CITIES])
_WRITTEN_START = np.cumsum(_WRITTEN_SIZE) - _WRITTEN_SIZE
_COUNTRIES = [city["country"] for city in words.CITIES]

ODD_ELEMENTS = ('["Canto", 5, null, {"id": 3}]', '[null, "Baile"]', '[["Piano"], "Teatro"]', '[true, 12.5, "Python"]')
NO_LISTS = ('{"skill": "Canto"}', '"Canto"', "7")


def write_people(world: World, connection: sqlite3.Connection, progress: Callable[[float], None]) -> None:
    """All accounts with a profile each: the live ones, then the deleted ones, then profiles of nobody."""
    last = world.sizes.users
    total = last + world.deleted_users
    for chunk, first in enumerate(range(1, last + 1, CHUNK)):
        ids = np.arange(first, min(first + CHUNK, last + 1))
        _write_chunk(world, connection, world.rng(STAGE, chunk), ids, deleted=False)
        progress(int(ids[-1]) / total)
    rng = world.rng(STAGE, 1_000_000)
    _write_chunk(world, connection, rng, np.arange(last + 1, total + 1), deleted=True)
    world.dirt["deleted users"] += world.deleted_users
    nobody = world.nobody + np.arange(world.some(40))
    _write_profiles(world, connection, rng, nobody, draws.fields(rng, len(nobody)))
    world.dirt["profiles of nobody"] += len(nobody)
    progress(1.0)


def _write_chunk(
    world: World, connection: sqlite3.Connection, rng: np.random.Generator, ids: Ints, *, deleted: bool
) -> None:
    n = len(ids)
    firsts, lasts = draws.texts(rng, words.FIRST_NAMES, n), draws.texts(rng, words.LAST_NAMES, n)
    names: list[Any] = [f"{first} {last}" for first, last in zip(firsts, lasts, strict=True)]
    city = rng.choice(len(words.CITIES), n, p=_CITY_WEIGHTS)
    written = _WRITTEN_START[city] + (rng.random(n) * _WRITTEN_SIZE[city]).astype(np.int64)
    cities, countries = draws.picked(_WRITTEN, written), draws.picked(_COUNTRIES, city)
    blank = rng.random(n)
    for row in np.flatnonzero(blank < 0.12).tolist():
        cities[row] = "" if blank[row] < 0.01 else None
        if blank[row] > 0.07:
            countries[row] = None
    joined = world.joined(np.minimum(ids, world.sizes.users))
    changed = draws.stamps(joined + (world.now - joined) * rng.random(n))
    created: list[Any] = list(draws.stamps(joined))
    _vary_times(world, rng, created)
    names = draws.without(rng, names, 0.001)
    world.dirt["users without name"] += names.count(None)
    gone = changed if deleted else [None] * n
    write(connection, "users", (ids.tolist(), names, cities, countries, created, changed, gone))
    known = world.user_field[np.minimum(ids, world.sizes.users) - 1]
    _write_profiles(world, connection, rng, ids, known)


def _vary_times(world: World, rng: np.random.Generator, created: list[Any]) -> None:
    n = len(created)
    for row in draws.some(rng, n, 0.010).tolist():
        created[row] = created[row].replace(" ", "T") + "Z"
    for row in draws.some(rng, n, 0.003).tolist():
        created[row] = created[row][:10]
    future = draws.some(rng, n, 0.000_1)
    later = draws.stamps(world.now + (2_000 + 5_000 * rng.random(len(future))) * 86_400.0)
    absent, zero = draws.some(rng, n, 0.000_2), draws.some(rng, n, 0.000_05)
    for row, value in zip(future.tolist(), later, strict=True):
        created[row] = value
    for row in absent.tolist():
        created[row] = None
    for row in zero.tolist():
        created[row] = "0000-00-00 00:00:00"
    world.dirt["users with a date in the future"] += len(set(future.tolist()) - {*absent.tolist(), *zero.tolist()})


def _write_profiles(
    world: World, connection: sqlite3.Connection, rng: np.random.Generator, ids: Ints, of_field: Ints
) -> None:
    n = len(ids)
    skills = SKILLS.lists(rng, of_field, np.minimum(rng.geometric(0.28, n), 12))
    for row in draws.some(rng, n, 0.08).tolist():
        skills[row] = "[]"
    skills = draws.without(rng, skills, 0.15)
    tools = draws.without(rng, TOOLS.lists(rng, of_field, rng.integers(0, 5, n)), 0.40)
    knowledge = draws.without(rng, KNOWLEDGES.lists(rng, of_field, rng.integers(0, 4, n)), 0.45)
    languages = draws.without(rng, draws.lists(rng, words.LANGUAGES, n, most=3), 0.20)
    hobbies = draws.without(rng, draws.lists(rng, words.HOBBIES, n, most=6, pool=2_000), 0.30)
    talentees = draws.without(rng, draws.lists(rng, words.TALENTEES, n, most=2), 0.25)
    objectives = draws.without(rng, draws.lists(rng, words.OBJECTIVES, n, most=3), 0.35)
    for column, rate in ((skills, 0.001_5), (tools, 0.000_5), (languages, 0.000_3)):
        world.dirt["bad JSON in profiles"] += spoil(rng, column, words.BAD_JSON, rate)
    world.dirt["non-text in profiles' arrays"] += spoil(rng, skills, ODD_ELEMENTS, 0.001)
    world.dirt["JSON but no list in profiles"] += spoil(rng, knowledge, NO_LISTS, 0.000_3)
    columns = (ids.tolist(), skills, languages, tools, knowledge, hobbies, talentees, objectives)
    write(connection, "profiles", columns)


def spoil(rng: np.random.Generator, column: list[Any], values: tuple[str, ...] | list[str], rate: float) -> int:
    """Put dirt in a share of a column's rows; returns in how many."""
    rows = draws.some(rng, len(column), rate)
    for row, value in zip(rows.tolist(), draws.texts(rng, values, len(rows)), strict=True):
        column[row] = value
    return len(rows)
