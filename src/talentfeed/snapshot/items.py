"""Users, videos and flows: rows as stored → cleaned, each with the reason why it is left out. SPEC 3."""

from collections.abc import Mapping

import ibis
from ibis import ir

from talentfeed.snapshot.arriving import LISTS
from talentfeed.snapshot.clean import as_id, as_text, file_name, is_given, is_test, null
from talentfeed.snapshot.desk import Desk, fate, kept

Stored = Mapping[str, ir.Table]  # by name: tables as stored, each value read, none yet looked up in another


def stored_users(desk: Desk) -> Stored:
    """`users`: `city` and `country` are numbers, whose spellings are `user_city` and `user_country`."""
    rows = desk["raw_users"]
    rows = rows.select("name", "city", "country", "created_at", id=as_id(rows.id), deleted=desk.gone(rows.deleted_at))
    return {"users": desk.parsed("users", rows, times=["created_at"])}


def stored_profiles(desk: Desk) -> Stored:
    """`profiles`: each list's number, -1 for none; `lists`: list, kind, texts. What many say is read once."""
    rows = desk["raw_profiles"]
    numbers = {kind: rows[column] for column, kind in LISTS.items()}
    lists = desk.parsed("lists", desk["raw_lists"], lists=["texts"])
    return {"profiles": rows.select(user_id=as_id(rows.user_id), **numbers), "lists": lists}


def everyone(desk: Desk) -> Stored:
    """Every user, with `fate`. Result: `spellings`, each pair of a city and a country that those who stay have."""
    rows = desk["users"]
    found = rows.mutate(
        fate=fate(
            (rows.id.isnull(), "missing_id"), (rows.deleted, "deleted"), (desk.after(rows.created_at), "after_as_of")
        )
    )
    desk.tally("users", found)
    pairs = kept(found).select("city", "country").distinct()
    pairs = pairs.left_join(desk["user_city"], "city").left_join(desk["user_country"], "country")
    desk.result("spellings", pairs.select("city", "country", "city_typed", "country_typed"))
    return {"everyone": found}


def users(desk: Desk) -> ir.Table:
    """id, city (its place among the names) of those that stay."""
    return desk.keep(
        "people", kept(desk["everyone"]).join(desk["places"], ["city", "country"]).select("id", city="place")
    )


def profiles(desk: Desk, users: ir.Table) -> ir.Table:
    """user_id, skills, knowledges, tools, languages: each a place in `lists`, -1 for none."""
    rows, lists, known = desk["profiles"], desk["lists"], users.select(known="id")
    rows = rows.left_join(known, rows.user_id == known.known)
    rows = rows.mutate(fate=fate((rows.user_id.isnull(), "missing_id"), (rows.known.isnull(), "dangling_user")))
    rows = desk.keep("profiles_read", rows.drop("known"))
    desk.tally("profiles", rows)
    profiles = kept(rows)
    dirty = lists.filter(lists.skip_bad_json_texts | (lists.skip_not_text_texts > 0))
    said = ibis.union(*(profiles.select(list=kind) for kind in LISTS.values()))
    desk.tally("profiles", said.join(dirty, "list").mutate(fate=null("string")))
    return profiles


def idle_lines(blacklist: ir.Table, *items: ir.Table) -> ir.Table:
    """lines: how many of the blacklist are the URL of no item, misspelt or long gone."""
    known = ibis.union(*(table.select("url") for table in items))
    lines = blacklist.select("line").distinct()
    return lines.anti_join(blacklist.semi_join(known, "url"), "line").aggregate(lines=ibis._.count())


def unwanted(desk: Desk, table: ir.Table, status: str) -> list[tuple[ir.BooleanValue, str]]:
    """Why an item with id, url, status, deleted, user_id, owner_fate, owner_id, created_at is left out."""
    return [
        (table.id.isnull(), "missing_id"),
        (table.deleted, "deleted"),
        (table.status.fill_null("") != status, "not_published"),
        (table.url.isnull(), "without_url"),
        (table.url.isin(desk["blacklist"].url), "blacklisted"),
        (is_test(file_name(table.url)), "test_upload"),
        (table.owner_fate == "after_as_of", "creator_after_as_of"),
        (table.owner_fate.notnull(), "creator_deleted"),
        (table.user_id.notnull() & table.owner_id.isnull(), "dangling_creator"),
        (desk.after(table.created_at), "after_as_of"),
    ]


def with_owner(table: ir.Table, owners: ir.Table) -> ir.Table:
    """Adds of its creator: owner_id, owner_fate, creator_name, city."""
    return table.left_join(owners, table.user_id == owners.owner_id)


def owners(desk: Desk, users: ir.Table) -> ir.Table:
    """owner_id, owner_fate, creator_name, city of those who made something, few of all."""
    made = ibis.union(*(desk[table].select("user_id") for table in ("resumes", "challenges")), distinct=True)
    everyone = desk["everyone"]
    found = made.join(everyone, made.user_id == everyone.id)
    places = users.select(place_id="id", place="city")
    found = found.left_join(places, found.id == places.place_id)
    return desk.keep(
        "owners", found.select(owner_id="id", owner_fate="fate", creator_name=as_text(found.name), city="place")
    )


def stored_videos(desk: Desk) -> Stored:
    """`resumes`."""
    rows = desk["raw_resumes"]
    rows = rows.select(
        "skills", "knowledges", "tools", "languages", "role_objectives", "created_at",
        id=as_id(rows.id), user_id=as_id(rows.user_id), url=as_text(rows.video), image=as_text(rows.image),
        description=rows.description.cast("string"), status=as_text(rows.status), deleted=desk.gone(rows.deleted_at),
        skip_bad_creator_id=is_given(rows.user_id) & as_id(rows.user_id).isnull(),
    )  # fmt: skip
    lists = ("skills", "knowledges", "tools", "languages", "role_objectives")
    return {"resumes": desk.parsed("videos", rows, times=["created_at"], lists=lists)}


def videos(desk: Desk, owners: ir.Table) -> ir.Table:
    """Every resume, cleaned, with `fate`."""
    rows = with_owner(desk["resumes"], owners)
    read = desk.keep("videos_read", rows.mutate(fate=fate(*unwanted(desk, rows, "send"))))
    desk.tally("resumes", read)
    return read


def stored_flows(desk: Desk) -> Stored:
    """`challenges`."""
    rows = desk["raw_challenges"]
    rows = rows.select(
        "interest_areas", "type_objectives", "created_at", "updated_at", "status_at",
        id=as_id(rows.id), user_id=as_id(rows.user_id), url=as_text(rows.video), image=as_text(rows.image),
        name=rows.name.cast("string"), slug=rows.slug.cast("string"), talent_type=as_text(rows.talent_type),
        description=rows.description.cast("string"), status=as_text(rows.status), deleted=desk.gone(rows.deleted_at),
        skip_bad_creator_id=is_given(rows.user_id) & as_id(rows.user_id).isnull(),
    )  # fmt: skip
    times = ("created_at", "updated_at", "status_at")
    return {"challenges": desk.parsed("flows", rows, times=times, lists=("interest_areas", "type_objectives"))}


def flows(desk: Desk, owners: ir.Table) -> ir.Table:
    """Every challenge, cleaned, with `fate`; of several with one URL the newest stays."""
    rows = with_owner(desk["challenges"], owners)
    reasons = unwanted(desk, rows, "published")
    rows = rows.mutate(fate=fate(*reasons, (is_test(rows.name), "test_upload")))
    newest = ibis.row_number().over(
        group_by=[rows.url, rows.fate], order_by=[rows.created_at.fill_null(0.0).desc(), rows.id.desc()]
    )
    rows = rows.mutate(place=newest)
    again = rows.fate.isnull() & (rows.place > 0)
    read = desk.keep("flows_read", rows.mutate(fate=ibis.ifelse(again, "duplicate_url", rows.fate)).drop("place"))
    desk.tally("challenges", read)
    return read
