"""The relational part of a build, cut where Python has to look at rows. Each is told under its own name: `plans`.

A step reads tables by name that were loaded or left by those before, and leaves what those after it need. What it
writes must depend on nothing else: not on rows, nor on numbers that change, which are variables of the engine.
"""

import ibis
from ibis import ir

from talentfeed.snapshot import facts, items, shown, tables
from talentfeed.snapshot.arriving import KINDS
from talentfeed.snapshot.desk import Desk, kept, number
from talentfeed.snapshot.items import Stored

users, profiles = items.stored_users, items.stored_profiles
resumes, challenges = items.stored_videos, items.stored_flows
team_feedbacks, likes, matches = facts.stored_ratings, facts.stored_likes, facts.stored_matches
activity_log, views = facts.stored_reports, facts.stored_views
resumes_exhibited, user_connections = facts.stored_exhibitions, facts.stored_connections
everyone = items.everyone  # once all of the above are read


def functions(desk: Desk) -> None:
    """Those of `clean`: before all others."""
    desk.install()


def seen(desk: Desk) -> Stored:
    """What was shown to whom; items, events and views as stored, each with `fate`.

    Needs `places` (city, country, place) of the spellings, and `blacklist` (line, url).
    """
    people = items.users(desk)
    owners = items.owners(desk, people)
    videos, flows = items.videos(desk, owners), items.flows(desk, owners)
    events = facts.events(desk, people, videos, flows)
    views = facts.views(desk, videos)
    exposures = shown.table(events, views, people)
    desk.result("users", people)
    desk.result("servable", kept(videos).select("id"))
    desk.result("exposures", exposures)
    return {
        "judged_videos": videos,
        "judged_flows": flows,
        "events": events,
        "judged_views": views,
        "exposures": exposures,
    }


def frames(desk: Desk) -> None:
    """The rest but for interactions: they need the watermark, the newest time in the input."""
    people, videos, flows = desk["people"], desk["judged_videos"], desk["judged_flows"]
    views = desk["judged_views"]
    connections = facts.connections(desk, people)
    exhibited = facts.exhibitions(desk, videos)
    _newest(
        desk,
        desk["everyone"].created_at,
        videos.created_at,
        flows.created_at,
        *(table["at"] for table in (desk["events"], connections, views)),
    )
    desk.result("idle", items.idle_lines(desk["blacklist"], videos, flows))
    served = kept(videos)
    for table, name in ((views, "views"), (exhibited, "exhibited_count")):
        counted = kept(table).group_by(video_id=table.item_id).aggregate(**{name: kept(table).count()})
        served = served.left_join(counted, served.id == counted.video_id).drop("video_id")
        served = served.mutate(**{name: served[name].fill_null(0)})
    served = desk.keep("videos", served.drop("owner_id", "owner_fate", "status", "deleted"))
    desk.result("videos", served.drop(*KINDS))
    desk.result("flows", kept(flows).drop("owner_id", "owner_fate", "status", "deleted"))
    desk.result("profiles", items.profiles(desk, people))
    desk.result("connections", facts.both_ways(connections).select("user_id", "connected_user_id"))


def _newest(desk: Desk, *times: ir.FloatingColumn) -> None:
    newest = ibis.union(*(t.as_table().select(at=t.as_table()[t.get_name()]) for t in times))
    newest = newest.filter(newest["at"] <= number("last_moment"))
    desk.result("newest", newest.aggregate(at=newest["at"].max()))


def mentions(desk: Desk) -> None:
    """What videos and profiles mention, and the texts that need a normal form."""
    tables.mentions(desk)


def scores(desk: Desk) -> None:
    """Interactions, and all that is derived. Needs `texts` (raw, text, code) of the raw ones, and `kind_of_skills`."""
    acts, flow_acts = facts.interactions(desk["events"])
    acts = desk.keep("interactions", acts)
    desk.result("flow_history", flow_acts)
    tables.derive(desk, acts)


def rows(desk: Desk) -> None:
    """What a dataset folder is written of."""
    log = desk["exposures"]
    desk.result("all_lists", desk["lists"].select("list", "texts"))
    desk.result("all_users", desk["people"].order_by("id"))
    desk.result("all_videos", desk["videos"].order_by("id"))
    desk.result("dated", log.filter(log["at"].notnull()).order_by("at", "user_id", "video_id"))
    desk.result("undated", log.filter(log["at"].isnull()).aggregate(rows=ibis._.count()))
