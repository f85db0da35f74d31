"""What people did: ratings, saves, matches, views and client reports → interactions and connections. SPEC 3."""

from functools import partial

import ibis
from ibis import ir

from talentfeed.contracts import SECONDS_PER_DAY
from talentfeed.snapshot.clean import as_id, as_number, as_text, is_given, is_text, json_of, null
from talentfeed.snapshot.desk import Desk, fate, kept, number, word
from talentfeed.snapshot.items import Stored

MAX_RATING = 5.0
SAVED, MATCHED, NOTICED = 3.0, 4.0, 2.0  # what a save, a match and the rest are worth as a rating
RECENT_DAYS = 30  # a view, share or skip counts so long

PASSING = ("view", "share", "skip")

_COLUMNS = (
    "origin", "row_id", "user_id", "item_id", "is_flow", "interaction_type", "rating", "watch_ratio", "reward", "at",
    "own_fate",
    "skip_bad_date", "skip_future_date", "skip_rating_above_5", "skip_bad_watch_ratio",
)  # fmt: skip


def _rated(given: ir.BooleanValue, value: ir.FloatingValue) -> dict[str, ir.Value]:
    return {
        "own_fate": fate(
            (~given, "missing_rating"), (value.isnull(), "rating_not_a_number"), (value <= 0, "rating_not_positive")
        ),
        "skip_rating_above_5": (value > MAX_RATING).fill_null(False),
        "rating": ibis.least(value, ibis.literal(MAX_RATING)),
    }


def _platform(desk: Desk, origin: str, which: tuple[str, str], kind: str) -> Stored:
    """`team_feedbacks`, `likes` and `matches` in one form."""
    rows = desk[f"raw_{origin}"]
    column, value = which
    rows = desk.parsed(origin, rows.filter(is_text(rows[column], value)), times=["created_at"])
    if kind == "rating":
        verdict = _rated(is_given(rows.value), as_number(rows.value))
    else:
        worth = SAVED if kind == "save" else MATCHED
        verdict = {
            "own_fate": null("string"),
            "skip_rating_above_5": ibis.literal(False),
            "rating": ibis.literal(worth),
        }
    found = rows.select(
        origin=ibis.literal(origin), row_id=null("int64"), user_id=as_id(rows.user_id), item_id=as_id(rows.model_id),
        is_flow=ibis.literal(False), interaction_type=ibis.literal(kind), watch_ratio=null("float64"),
        reward=null("float64"), at=rows.created_at, skip_bad_date=rows.skip_bad_date_created_at,
        skip_future_date=rows.skip_future_date_created_at, skip_bad_watch_ratio=ibis.literal(False), **verdict,
    )  # fmt: skip
    return {origin: found.select(*_COLUMNS)}


stored_ratings = partial(_platform, origin="team_feedbacks", which=("type", "ranking_resume"), kind="rating")
stored_likes = partial(_platform, origin="likes", which=("type", "save"), kind="save")
stored_matches = partial(_platform, origin="matches", which=("status", "accepted"), kind="match")


def stored_reports(desk: Desk) -> Stored:
    """What clients reported, of `activity_log`, in the same form. What the service itself recorded is left out."""
    rows = desk["raw_activity_log"]
    rows = rows.mutate(json=json_of(rows.properties.cast("string")), stored=as_text(rows.properties))
    unreadable = rows.json.isnull() & rows.stored.notnull()
    rows = rows.mutate(
        unreadable=unreadable,
        reported=rows.json["event_type"].str,
        from_client=rows.json["source"].str == "client",
        value_text=rows.json["value"].cast("string"),
        ratio_text=rows.json["watch_ratio"].cast("string"),
        # imported data may know how an impression went, but not how long it was watched
        reward_text=rows.json["extra"]["reward"].cast("string"),
        subject=as_text(rows.subject_type),
    )
    ours = rows.subject.isin((word("resume_subject_type"), word("challenge_subject_type")))
    rows = rows.left_join(desk["client_types"], "reported")
    rows = rows.filter(rows.unreadable | (rows.from_client & ours & rows.interaction_type.notnull()))
    rows = desk.parsed("activity_log", rows, times=["created_at"])
    value, ratio = (_json_number(rows[c]) for c in ("value_text", "ratio_text"))
    rated = _rated(_json_given(rows.value_text), value)
    is_rating = rows.interaction_type == "rating"
    worth = ibis.cases(
        (is_rating, rated["rating"]),
        (rows.interaction_type == "save", SAVED),
        (rows.interaction_type == "match", MATCHED),
        else_=NOTICED,
    )
    good_ratio = ibis.ifelse(ratio >= 0, ratio, null("float64"))
    reward = _json_number(rows.reward_text)
    watched = ibis.ifelse(_json_given(rows.ratio_text), good_ratio, reward)
    found = rows.select(
        origin=ibis.literal("activity_log"), row_id=as_id(rows.id), user_id=as_id(rows.causer_id),
        item_id=as_id(rows.subject_id), is_flow=rows.subject == word("challenge_subject_type"),
        interaction_type=rows.interaction_type, rating=worth, watch_ratio=watched,
        reward=ibis.ifelse(reward.between(0, 1), reward, null("float64")), at=rows.created_at,
        own_fate=ibis.cases(
            (rows.unreadable, "bad_json"), (is_rating, rated["own_fate"]), else_=null("string")
        ),
        skip_bad_date=rows.skip_bad_date_created_at, skip_future_date=rows.skip_future_date_created_at,
        skip_rating_above_5=(is_rating & rated["skip_rating_above_5"]).fill_null(False),
        skip_bad_watch_ratio=_json_given(rows.ratio_text) & good_ratio.isnull(),
    )  # fmt: skip
    return {"activity_log": found.select(*_COLUMNS)}


def _json_given(text: ir.StringColumn) -> ir.BooleanColumn:
    return text.notnull() & (text != "null")


def _json_number(text: ir.StringColumn) -> ir.FloatingColumn:
    return as_number(text.re_replace('^"|"$', ""))


def events(desk: Desk, users: ir.Table, videos: ir.Table, flows: ir.Table) -> ir.Table:
    """All interactions as stored, platform's and clients', each with `fate`."""
    rows = ibis.union(*(desk[origin] for origin in ("team_feedbacks", "likes", "matches", "activity_log")))
    items = ibis.union(
        *(
            table.filter(table.id.notnull()).select(
                known_item="id", item_fate="fate", item_is_flow=ibis.literal(is_flow)
            )
            for table, is_flow in ((videos, False), (flows, True))
        )
    )
    people = users.select(known_user="id")
    rows = rows.left_join(people, rows.user_id == people.known_user)
    rows = rows.left_join(items, (rows.item_id == items.known_item) & (rows.is_flow == items.item_is_flow))
    rows = rows.mutate(
        fate=ibis.coalesce(
            rows.own_fate,
            fate(
                (rows.user_id.isnull() | rows.item_id.isnull(), "missing_id"),
                (rows.known_user.isnull(), "dangling_user"),
                (rows.known_item.isnull(), "dangling_item"),
                (desk.after(rows.at), "after_as_of"),
                (rows.item_fate.notnull(), "on_item_not_served"),
            ),
        )
    )
    read = desk.keep("events_read", rows.select(*_COLUMNS, "fate"))
    desk.tally("events", read, by="origin")
    return read


def stored_connections(desk: Desk) -> Stored:
    """Accepted `user_connections`."""
    rows = desk["raw_user_connections"]
    rows = rows.filter(is_text(rows.status, "accepted")).select(
        "created_at", user_id=as_id(rows.from_id), connected_user_id=as_id(rows.to_id)
    )
    return {"user_connections": desk.parsed("user_connections", rows, times=["created_at"])}


def connections(desk: Desk, users: ir.Table) -> ir.Table:
    """Accepted connections as stored, each with `fate`."""
    rows = desk["user_connections"]
    one, other = users.select(one="id"), users.select(other="id")
    rows = rows.left_join(one, rows.user_id == one.one)
    rows = rows.left_join(other, rows.connected_user_id == other.other)
    read = desk.keep(
        "connections_read",
        rows.mutate(
            at=rows.created_at,
            fate=fate(
                (rows.user_id.isnull() | rows.connected_user_id.isnull(), "missing_id"),
                (rows.one.isnull() | rows.other.isnull(), "dangling_user"),
                (rows.user_id == rows.connected_user_id, "with_oneself"),
                (desk.after(rows.created_at), "after_as_of"),
            ),
        ).drop("one", "other", "created_at"),
    )
    desk.tally("user_connections", read)
    return read


def both_ways(connections: ir.Table) -> ir.Table:
    """user_id, connected_user_id, at: each pair once in each direction, with its oldest date."""
    there = kept(connections)
    back = there.select(user_id="connected_user_id", connected_user_id="user_id", at="at")
    return (
        ibis.union(there.select("user_id", "connected_user_id", "at"), back)
        .group_by("user_id", "connected_user_id")
        .aggregate(at=ibis._.at.min())
    )


def stored_views(desk: Desk) -> Stored:
    """`views` of videos."""
    rows = desk["raw_views"]
    rows = rows.filter(is_text(rows.model_type, word("resume_subject_type")))
    rows = rows.select("created_at", user_id=as_id(rows.user_id), item_id=as_id(rows.model_id))
    return {"views": desk.parsed("views", rows, times=["created_at"])}


def stored_exhibitions(desk: Desk) -> Stored:
    """`resumes_exhibited`."""
    rows = desk["raw_resumes_exhibited"]
    return {"resumes_exhibited": rows.select(item_id=as_id(rows.resume_id), created_at=null("float64"))}


def views(desk: Desk, videos: ir.Table) -> ir.Table:
    """Views as stored with `fate`, item_id, user_id and `at`."""
    return _on_videos(desk, "views", videos)


def exhibitions(desk: Desk, videos: ir.Table) -> ir.Table:
    """Exhibitions as stored, with `fate` and item_id."""
    return _on_videos(desk, "resumes_exhibited", videos)


def _on_videos(desk: Desk, stored: str, videos: ir.Table) -> ir.Table:
    rows, items = desk[stored], videos.filter(videos.id.notnull()).select(known_item="id", item_fate="fate")
    rows = rows.left_join(items, rows.item_id == items.known_item)
    rows = rows.mutate(
        at=rows.created_at,
        fate=fate(
            (rows.item_id.isnull(), "missing_id"),
            (rows.known_item.isnull(), "dangling_item"),
            (desk.after(rows.created_at), "after_as_of"),
            (rows.item_fate.notnull(), "on_item_not_served"),
        ),
    )
    read = desk.keep(f"{stored}_read", rows.drop("known_item", "item_fate", "created_at"))
    desk.tally(stored, read)
    return read


def interactions(events: ir.Table) -> tuple[ir.Table, ir.Table]:
    """(user_id, video_id, interaction_type, watch_ratio, rating, at, superseded), (user_id, flow_id, at).

    A client's report is one fact per user, video and type, with its newest rating and time and its longest watch. Where
    the platform's own tables have it too it adds nothing, but a newer time and rating replace those of the newest row;
    `superseded` marks the ratings before it. Views, shares and skips count for 30 days.
    """
    rows = kept(events)
    recent = rows.at >= number("watermark") - RECENT_DAYS * SECONDS_PER_DAY
    rows = rows.filter((~rows.interaction_type.isin(PASSING)) | recent.fill_null(False))
    flow_rows = rows.filter(rows.is_flow)
    flow_rows = flow_rows.group_by("user_id", flow_id=flow_rows.item_id).aggregate(at=flow_rows["at"].max())
    facts = rows.filter(~rows.is_flow)
    facts = facts.select(
        "user_id", "rating", "at", "interaction_type", "watch_ratio", "row_id", video_id=facts.item_id,
        told=facts.origin == "activity_log", since=facts["at"].fill_null(0.0),
    )  # fmt: skip
    # windows rather than joins: one pass, and one statement that is short to compile
    fact = ["user_id", "video_id", "interaction_type"]
    facts = facts.mutate(
        place=ibis.row_number().over(
            group_by=[*fact, "told"], order_by=[facts.since.desc(), facts.row_id.desc(), facts.rating.desc()]
        )
    )
    newest = facts.told & (facts.place == 0)
    facts = facts.mutate(
        stored=facts.since.max(where=~facts.told).over(group_by=fact),  # null: the platform's tables have none
        news=facts.since.max(where=newest).over(group_by=fact),
        news_rating=facts.rating.max(where=newest).over(group_by=fact),
        watch_ratio=facts.watch_ratio.max().over(group_by=fact),
    )
    facts = facts.filter(~facts.told | ((facts.place == 0) & facts.stored.isnull()))
    newer = ~facts.told & (facts.news > facts.stored).fill_null(False)
    replaced = newer & (facts.place == 0)
    acts = facts.select(
        "user_id", "video_id", "interaction_type", "watch_ratio",
        rating=ibis.ifelse(replaced, facts.news_rating, facts.rating),
        at=ibis.ifelse(replaced, facts.news, facts["at"]),
        superseded=newer & (facts.place > 0) & (facts.interaction_type == "rating"),
    )  # fmt: skip
    return acts, flow_rows
