"""Users, videos and flows: rows as stored → cleaned, each with the reason why it is left out. SPEC 3."""

import codecs
import csv
import logging
import re
from collections.abc import Mapping
from pathlib import Path

import ibis
import pyarrow as pa
from ibis import ir

from talentfeed.errors import SourceError
from talentfeed.snapshot import cities
from talentfeed.snapshot.clean import as_id, as_text, file_name, is_given, is_test
from talentfeed.snapshot.workbench import Workbench, fate, kept

log = logging.getLogger(__name__)
_COMMENT = re.compile(r"\s#.*")


def people(bench: Workbench, raw: Mapping[str, pa.Table]) -> tuple[ir.Table, ir.Table, ir.Table]:
    """Users as they all are (id, fate, …), those that stay, and profiles."""
    rows = bench.load("raw_users", raw["users"])
    rows = rows.select(
        id=as_id(rows.id),
        name=as_text(rows.name),
        city=as_text(rows.city).fill_null(""),
        country=as_text(rows.country).fill_null(""),
        created_at=rows.created_at,
        deleted=bench.gone(rows.deleted_at),
    )
    rows = bench.timed("users", rows, "created_at")
    everyone = bench.keep(
        "everyone",
        rows.mutate(
            fate=fate(
                (rows.id.isnull(), "missing_id"),
                (rows.deleted, "deleted"),
                (bench.after(rows.created_at), "after_as_of"),
            )
        ),
    )
    bench.tally("users", everyone)
    here = kept(everyone)
    places = here.select("city", "country").distinct().to_pyarrow()
    named = cities.normalised(zip(*(places[x].to_pylist() for x in ("city", "country")), strict=True))
    spelled = bench.load("places", places.append_column("normal", pa.array(named, pa.string())))
    users = bench.keep(
        "users", here.left_join(spelled, ["city", "country"]).select("id", "name", "created_at", city="normal")
    )
    lists = bench.load("raw_profiles", raw["profiles"])
    lists = lists.select("skills", "tools", "languages", user_id=as_id(lists.user_id), knowledges="knowledge")
    known = users.select(known="id")
    lists = lists.left_join(known, lists.user_id == known.known)
    lists = bench.listed("profiles", lists, "skills", "knowledges", "tools", "languages")
    profiles = lists.mutate(fate=fate((lists.user_id.isnull(), "missing_id"), (lists.known.isnull(), "dangling_user")))
    bench.tally("profiles", profiles)
    return everyone, users, kept(profiles).drop("known")


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


def with_owner(table: ir.Table, everyone: ir.Table, users: ir.Table) -> ir.Table:
    """Adds of its creator: owner_id, owner_fate, creator_name, city."""
    owner = everyone.select(owner_id="id", owner_fate="fate", creator_name="name")
    place = users.select(place_id="id", city="city")
    joined = table.left_join(owner, table.user_id == owner.owner_id)
    return joined.left_join(place, joined.user_id == place.place_id).drop("place_id")


def videos(
    bench: Workbench, raw: Mapping[str, pa.Table], everyone: ir.Table, users: ir.Table, blacklist: ir.Table
) -> ir.Table:
    """Every resume, cleaned, with `fate`."""
    rows = bench.load("raw_resumes", raw["resumes"])
    rows = rows.select(
        "skills", "knowledges", "tools", "languages", "role_objectives", "created_at",
        id=as_id(rows.id), user_id=as_id(rows.user_id), url=as_text(rows.video), image=as_text(rows.image),
        description=rows.description.cast("string"), status=as_text(rows.status), deleted=bench.gone(rows.deleted_at),
        skip_bad_creator_id=is_given(rows.user_id) & as_id(rows.user_id).isnull(),
    )  # fmt: skip
    rows = bench.listed("videos", rows, "skills", "knowledges", "tools", "languages", "role_objectives")
    rows = with_owner(bench.timed("videos", rows, "created_at"), everyone, users)
    read = bench.keep("videos_read", rows.mutate(fate=fate(*unwanted(bench, rows, blacklist, "send"))))
    bench.tally("resumes", read)
    return read


def flows(
    bench: Workbench, raw: Mapping[str, pa.Table], everyone: ir.Table, users: ir.Table, blacklist: ir.Table
) -> ir.Table:
    """Every challenge, cleaned, with `fate`; of several with one URL the newest stays."""
    rows = bench.load("raw_challenges", raw["challenges"])
    rows = rows.select(
        "interest_areas", "type_objectives", "created_at", "updated_at", "status_at",
        id=as_id(rows.id), user_id=as_id(rows.user_id), url=as_text(rows.video), image=as_text(rows.image),
        name=rows.name.cast("string"), slug=rows.slug.cast("string"), talent_type=as_text(rows.talent_type),
        description=rows.description.cast("string"), status=as_text(rows.status), deleted=bench.gone(rows.deleted_at),
        skip_bad_creator_id=is_given(rows.user_id) & as_id(rows.user_id).isnull(),
    )  # fmt: skip
    rows = bench.listed("flows", rows, "interest_areas", "type_objectives")
    rows = with_owner(bench.timed("flows", rows, "created_at", "updated_at", "status_at"), everyone, users)
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
