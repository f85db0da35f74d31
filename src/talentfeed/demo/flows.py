"""Flows (challenges): the servable ones, and doublets, drafts, tests and blacklisted ones beside them."""

import re
import sqlite3
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np

from talentfeed.demo import draws, words
from talentfeed.demo.catalogue import BLACKLISTED, FIRST_FLOW, ascending_ids
from talentfeed.demo.people import SKILLS
from talentfeed.demo.world import DAY, MEDIA, World, write
from talentfeed.errors import TalentFeedError

STAGE = 3

HIDDEN = (
    ("draft flows", 20),
    ("deleted flows", 8),
    ("older doublets of a flow's URL", 6),
    ("blacklisted flows", 3),
    ("test flows by name", 5),
    ("test flows by URL", 2),
    ("flows without URL", 3),
)


def write_flows(world: World, connection: sqlite3.Connection, progress: Callable[[float], None]) -> None:
    """Challenges, oldest first; sets the servable ones' ids and times on `world`."""
    rng = world.rng(STAGE)
    servable = world.sizes.flows
    kinds = [""] * servable
    for kind, today in HIDDEN:
        kinds += [kind] * world.some(today)
        world.dirt[kind] += world.some(today)
    n = len(kinds)
    age = 0.5 + 300.0 * rng.beta(0.9, 1.6, n)
    original = np.arange(n)  # whose URL it has
    for row, kind in enumerate(kinds):
        if kind == "older doublets of a flow's URL":
            original[row] = rng.integers(servable)
            age[row] = age[original[row]] + 1.0 + 30.0 * rng.random()
    order = np.argsort(-age, kind="stable")
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    kinds, original = [kinds[i] for i in order.tolist()], place[original[order]]
    created = world.now - np.floor(age[order] * DAY)
    ids = ascending_ids(rng, n, first=FIRST_FLOW)
    owners = 1 + (rng.random(n) * world.joined_before(created)).astype(np.int64)
    world.flow_id = ids[np.sort(place[:servable])]
    world.flow_created = created[np.sort(place[:servable])]

    skills = draws.picked(SKILLS.plain, SKILLS.one(rng, draws.fields(rng, n)))
    years = [stamp[:4] for stamp in draws.stamps(created)]
    names: list[Any] = [
        pattern.format(skill=skill, year=year)
        for pattern, skill, year in zip(draws.texts(rng, words.FLOW_NAMES, n), skills, years, strict=True)
    ]
    urls: list[Any] = [f"{MEDIA}/challenges/{ids[o]}/video-{ids[o]:x}.mp4" for o in original.tolist()]
    status, gone = ["published"] * n, [None] * n
    changed: list[Any] = draws.stamps(created + (world.now - created) * rng.random(n) ** 3)
    for row, kind in enumerate(kinds):
        match kind:
            case "" | "older doublets of a flow's URL":
                pass
            case "draft flows":
                status[row] = "draft"
            case "deleted flows":
                gone[row] = changed[row]
            case "blacklisted flows":
                urls[row] = BLACKLISTED[4]
            case "test flows by name":
                names[row] = words.TEST_NAMES[row % len(words.TEST_NAMES)]
            case "test flows by URL":
                urls[row] = f"{MEDIA}/challenges/{ids[row]}/{words.TEST_SLUGS[row % len(words.TEST_SLUGS)]}.mp4"
            case "flows without URL":
                urls[row] = None
            case other:
                raise TalentFeedError(f"the demo does not know how to write {other!r}")
    descriptions: list[Any] = [f"Participa con tu video de {skill}. ¡Anímate!" for skill in skills]
    descriptions = draws.without(rng, descriptions, 0.05)
    images = draws.without(rng, [f"{MEDIA}/challenges/{i}/cover.jpg" for i in ids.tolist()], 0.3)
    slugs = draws.without(rng, [f"{slug(name)}-{i}" for name, i in zip(names, ids.tolist(), strict=True)], 0.05)
    columns: list[Any] = [ids.tolist(), owners.tolist(), urls, names, descriptions, status, draws.stamps(created)]
    columns += [draws.without(rng, changed, 0.03), gone, images, slugs]
    columns += [draws.without(rng, draws.texts(rng, words.TALENTEES, n), 0.2)]
    columns += [draws.without(rng, draws.lists(rng, words.INTEREST_AREAS, n, most=3, pool=50), 0.1)]
    columns += [draws.without(rng, draws.lists(rng, words.OBJECTIVES, n, most=2, pool=50), 0.1)]
    columns += [draws.without(rng, draws.stamps(created + 3_600.0), 0.3)]
    write(connection, "challenges", columns)
    progress(1.0)


def slug(name: str) -> str:
    """`Reto de Canción` → `reto-de-cancion`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
