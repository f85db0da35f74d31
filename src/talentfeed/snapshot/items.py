"""Users, videos and flows: rows as stored → cleaned, each with the reason why it is left out. SPEC 3."""

import codecs
import csv
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
from ibis import ir
from numpy.typing import NDArray

from talentfeed.errors import SourceError
from talentfeed.snapshot import cities
from talentfeed.snapshot.clean import as_id, as_text, file_name, is_given, is_test, null
from talentfeed.snapshot.workbench import Stored, Workbench, fate, kept, numbered

log = logging.getLogger(__name__)
_COMMENT = re.compile(r"\s#.*")
_LISTS = {"skills": "skills", "knowledge": "knowledges", "tools": "tools", "languages": "languages"}  # by kind


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Users as they all are, those that stay, and what these say of themselves."""

    everyone: ir.Table  # id, created_at, fate, …
    owners: ir.Table  # owner_id, owner_fate, creator_name, city of those of them who made something
    users: ir.Table  # id, city (its place in `cities`)
    cities: Sequence[str]  # `Unknown` first, the others in order of their code points
    profiles: ir.Table  # user_id, skills, knowledges, tools, languages: each a place in `lists`, -1 for none
    lists: ir.Table  # list, kind (0..3, as the four above), texts


def stored_users(bench: Workbench, raw: pa.Table) -> Stored:
    """`users`, with numbers for `city` and `country`, whose spellings are `user_city` and `user_country`."""
    raw, texts = numbered(raw, "city", "country")
    rows = bench.load("raw_users", raw)
    rows = rows.select("name", "city", "country", "created_at", id=as_id(rows.id), deleted=bench.gone(rows.deleted_at))
    spelled = {
        f"user_{column}": bench.load(f"user_{column}", pa.table({column: _upto(len(found)), f"{column}_typed": found}))
        for column, found in texts.items()
    }
    return {"users": bench.parsed("users", rows, times=["created_at"]), **spelled}


def stored_profiles(bench: Workbench, raw: pa.Table) -> Stored:
    """`profiles`: each list's number, -1 for none; `lists`: list, kind, texts. What many say is read once."""
    raw, texts = numbered(raw, *_LISTS)
    rows = bench.load("raw_profiles", raw)
    sizes = [len(texts[column]) for column in _LISTS]
    first = [sum(sizes[:kind]) for kind in range(len(sizes))]
    stored = pa.table(
        {
            "list": _upto(sum(sizes)),
            "kind": np.repeat(np.arange(len(sizes), dtype=np.int8), sizes),
            "texts": pa.chunked_array([texts[column] for column in _LISTS], pa.string()),
        }
    )
    numbers = {
        kind: ibis.ifelse(rows[column] >= 0, rows[column] + first[place], -1).cast("int32")
        for place, (column, kind) in enumerate(_LISTS.items())
    }
    lists = bench.parsed("lists", bench.load("raw_lists", stored), lists=["texts"])
    bench.forget("raw_lists")
    return {"profiles": rows.select(user_id=as_id(rows.user_id), **numbers), "lists": lists}


def _upto(n: int) -> NDArray[np.int32]:
    return np.arange(n, dtype=np.int32)


def people(bench: Workbench, stored: Stored) -> People:
    """Users and profiles, cleaned."""
    rows = stored["users"]
    everyone = rows.mutate(
        fate=fate(
            (rows.id.isnull(), "missing_id"), (rows.deleted, "deleted"), (bench.after(rows.created_at), "after_as_of")
        )
    )
    bench.tally("users", everyone)
    here = kept(everyone)
    pairs = here.select("city", "country").distinct()
    pairs = pairs.left_join(stored["user_city"], "city").left_join(stored["user_country"], "country")
    places, names = _places(pairs.select("city", "country", "city_typed", "country_typed").to_pyarrow())
    spelled = bench.load("places", places)
    users = bench.keep("users", here.join(spelled, ["city", "country"]).select("id", city="place"))
    profiles = _profiles(bench, stored, users)
    return People(
        everyone=everyone, users=users, cities=names, profiles=profiles,
        owners=_owners(bench, stored, everyone, users),
        lists=stored["lists"].select("list", "kind", "texts"),
    )  # fmt: skip


def _places(pairs: pa.Table) -> tuple[pa.Table, Sequence[str]]:
    """(city, country, place), the names by place."""
    typed = (pairs[column].to_pylist() for column in ("city_typed", "country_typed"))
    found = cities.normalised(zip(*typed, strict=True))
    names = [cities.UNKNOWN, *sorted(set(found) - {cities.UNKNOWN})]
    places = {name: place for place, name in enumerate(names)}
    numbers = pa.array([places[name] for name in found], pa.int32())
    return pairs.select(["city", "country"]).append_column("place", numbers), names


def _profiles(bench: Workbench, stored: Stored, users: ir.Table) -> ir.Table:
    rows, lists, known = stored["profiles"], stored["lists"], users.select(known="id")
    rows = rows.left_join(known, rows.user_id == known.known)
    rows = rows.mutate(fate=fate((rows.user_id.isnull(), "missing_id"), (rows.known.isnull(), "dangling_user")))
    rows = bench.keep("profiles_read", rows.drop("known"))
    bench.tally("profiles", rows)
    profiles = kept(rows)
    dirty = lists.filter(lists.skip_bad_json_texts | (lists.skip_not_text_texts > 0))
    said = ibis.union(*(profiles.select(list=kind) for kind in _LISTS.values()))
    bench.tally("profiles", said.join(dirty, "list").mutate(fate=null("string")))
    return profiles


def listed_urls(path: Path) -> list[tuple[int, str]] | None:
    """The blacklist as (line, URL): one a line, or in its first cell; `#` comments. None where there is no such file.

    A URL may hold commas: a line counts both whole and by its first cell. Raises SourceError where it is no text file.
    """
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceError(f"blacklist {path}: cannot be read: {error.strerror}") from error
    utf_16 = stored.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = stored.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = stored.decode("latin-1")
        log.warning("blacklist %s: it is not UTF-8; read as Latin-1", path)
    if "\0" in text:
        raise SourceError(f"blacklist {path}: it is no text; accepted: UTF-8, one URL a line")
    listed = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = "" if line.lstrip().startswith("#") else _COMMENT.sub("", line).strip()
        try:
            cell = "".join(next(csv.reader([bare]), [])[:1]).strip()
        except csv.Error as error:
            raise SourceError(f"blacklist {path}: line {number}: {error}; accepted: one URL a line") from error
        listed += [(number, url) for url in dict.fromkeys((bare, cell)) if url]
    return listed


def log_idle(path: Path, blacklist: ir.Table, *items: ir.Table) -> None:
    """Say how many lines of the blacklist are the URL of no item: misspelt, or long gone."""
    known = ibis.union(*(table.select("url") for table in items))
    lines = blacklist.select("line").distinct()
    idle = lines.anti_join(blacklist.semi_join(known, "url"), "line").count().to_pyarrow().as_py()
    if idle:
        log.info("blacklist %s: %d lines are the URL of no video or flow", path, idle)


def unwanted(bench: Workbench, table: ir.Table, blacklist: ir.Table, status: str) -> list[tuple[ir.BooleanValue, str]]:
    """Why an item with id, url, status, deleted, user_id, owner_fate, owner_id, created_at is left out."""
    return [
        (table.id.isnull(), "missing_id"),
        (table.deleted, "deleted"),
        (table.status.fill_null("") != status, "not_published"),
        (table.url.isnull(), "without_url"),
        (table.url.isin(blacklist.url), "blacklisted"),
        (is_test(file_name(table.url)), "test_upload"),
        (table.owner_fate == "after_as_of", "creator_after_as_of"),
        (table.owner_fate.notnull(), "creator_deleted"),
        (table.user_id.notnull() & table.owner_id.isnull(), "dangling_creator"),
        (bench.after(table.created_at), "after_as_of"),
    ]


def with_owner(table: ir.Table, owners: ir.Table) -> ir.Table:
    """Adds of its creator: owner_id, owner_fate, creator_name, city."""
    return table.left_join(owners, table.user_id == owners.owner_id)


def _owners(bench: Workbench, stored: Stored, everyone: ir.Table, users: ir.Table) -> ir.Table:
    """owner_id, owner_fate, creator_name, city of those who made something, few of all."""
    made = ibis.union(*(stored[table].select("user_id") for table in ("resumes", "challenges")), distinct=True)
    found = made.join(everyone, made.user_id == everyone.id)
    places = users.select(place_id="id", place="city")
    found = found.left_join(places, found.id == places.place_id)
    return bench.keep(
        "owners", found.select(owner_id="id", owner_fate="fate", creator_name=as_text(found.name), city="place")
    )


def stored_videos(bench: Workbench, raw: pa.Table) -> Stored:
    """`resumes`."""
    rows = bench.load("raw_resumes", raw)
    rows = rows.select(
        "skills", "knowledges", "tools", "languages", "role_objectives", "created_at",
        id=as_id(rows.id), user_id=as_id(rows.user_id), url=as_text(rows.video), image=as_text(rows.image),
        description=rows.description.cast("string"), status=as_text(rows.status), deleted=bench.gone(rows.deleted_at),
        skip_bad_creator_id=is_given(rows.user_id) & as_id(rows.user_id).isnull(),
    )  # fmt: skip
    lists = ("skills", "knowledges", "tools", "languages", "role_objectives")
    return {"resumes": bench.parsed("videos", rows, times=["created_at"], lists=lists)}


def videos(bench: Workbench, stored: Stored, people: People, blacklist: ir.Table) -> ir.Table:
    """Every resume, cleaned, with `fate`."""
    rows = with_owner(stored["resumes"], people.owners)
    read = bench.keep("videos_read", rows.mutate(fate=fate(*unwanted(bench, rows, blacklist, "send"))))
    bench.tally("resumes", read)
    return read


def stored_flows(bench: Workbench, raw: pa.Table) -> Stored:
    """`challenges`."""
    rows = bench.load("raw_challenges", raw)
    rows = rows.select(
        "interest_areas", "type_objectives", "created_at", "updated_at", "status_at",
        id=as_id(rows.id), user_id=as_id(rows.user_id), url=as_text(rows.video), image=as_text(rows.image),
        name=rows.name.cast("string"), slug=rows.slug.cast("string"), talent_type=as_text(rows.talent_type),
        description=rows.description.cast("string"), status=as_text(rows.status), deleted=bench.gone(rows.deleted_at),
        skip_bad_creator_id=is_given(rows.user_id) & as_id(rows.user_id).isnull(),
    )  # fmt: skip
    times = ("created_at", "updated_at", "status_at")
    return {"challenges": bench.parsed("flows", rows, times=times, lists=("interest_areas", "type_objectives"))}


def flows(bench: Workbench, stored: Stored, people: People, blacklist: ir.Table) -> ir.Table:
    """Every challenge, cleaned, with `fate`; of several with one URL the newest stays."""
    rows = with_owner(stored["challenges"], people.owners)
    reasons = unwanted(bench, rows, blacklist, "published")
    rows = rows.mutate(fate=fate(*reasons, (is_test(rows.name), "test_upload")))
    newest = ibis.row_number().over(
        group_by=[rows.url, rows.fate], order_by=[rows.created_at.fill_null(0.0).desc(), rows.id.desc()]
    )
    rows = rows.mutate(place=newest)
    again = rows.fate.isnull() & (rows.place > 0)
    read = bench.keep("flows_read", rows.mutate(fate=ibis.ifelse(again, "duplicate_url", rows.fate)).drop("place"))
    bench.tally("challenges", read)
    return read
