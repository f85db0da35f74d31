"""Tables as stored → the five frames, cleaned: SPEC 3. Every value and row left out is counted by kind."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import ibis
import pyarrow as pa
from ibis import ir

from talentfeed.snapshot import exposures, facts, items
from talentfeed.snapshot.workbench import Stored, Workbench, kept

log = logging.getLogger(__name__)
_LAZY = ("profiles", "resumes_exhibited")  # numbers only: read again where they are used


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """The five frames. Times are float64 seconds, null where unknown; lists are arrays of texts as stored.

    `profiles` is the other half of `users`, with a number for each list, since many say the same. `city` is a place in
    `cities`; a video's or flow's is its creator's.
    """

    users: ir.Table  # id, city
    cities: Sequence[str]  # normalised names, `Unknown` first
    profiles: ir.Table  # user_id, skills, knowledges, tools, languages: each a place in `lists`, -1 for none
    lists: ir.Table  # list, kind (0..3, as the four above), texts
    videos: ir.Table  # id, user_id, url, image, the lists, role_objectives, description, created_at, city,
    #                   creator_name, views, exhibited_count
    interactions: ir.Table  # user_id, video_id, rating, at, interaction_type, watch_ratio, superseded
    flow_interactions: ir.Table  # user_id, flow_id, at
    exposures: ir.Table  # user_id, video_id, at, reward: see `exposures.table`
    connections: ir.Table  # user_id, connected_user_id, at: both ways
    flows: ir.Table  # id, user_id, url, image, name, slug, ..., created_at, updated_at, status_at, city, creator_name
    watermark: float  # newest time in the input; 0 where it has none
    skipped: Mapping[str, int]  # `table.kind` -> how many values or rows


_STORED: Mapping[str, Callable[[Workbench, pa.Table], Stored]] = MappingProxyType(
    {
        "users": items.stored_users,
        "profiles": items.stored_profiles,
        "resumes": items.stored_videos,
        "challenges": items.stored_flows,
        "team_feedbacks": facts.stored_ratings,
        "likes": facts.stored_likes,
        "matches": facts.stored_matches,
        "activity_log": facts.stored_reports,
        "views": facts.stored_views,
        "resumes_exhibited": facts.stored_exhibitions,
        "user_connections": facts.stored_connections,
    }
)


def take(bench: Workbench, name: str, rows: pa.Table) -> Stored:
    """What can be read of one table of `source.read` without the others."""
    stored = _STORED[name](bench, rows)
    if name not in _LAZY:
        bench.forget(f"raw_{name}")
    return stored


def clean(bench: Workbench, stored: Stored, *, blacklist: Path | None = None) -> Frames:
    """Clean all that was taken. No blacklist file is no error, but logged."""
    listed = None if blacklist is None else items.listed_urls(blacklist)
    if blacklist is not None and listed is None:
        log.warning("blacklist %s: no such file; no URL is blacklisted", blacklist)
    lines, urls = [line for line, _ in listed or ()], [url for _, url in listed or ()]
    banned = bench.load(
        "blacklist", pa.table({"line": pa.array(lines, pa.int64()), "url": pa.array(urls, pa.string())})
    )

    people = items.people(bench, stored)
    everyone, users = people.everyone, people.users
    videos = items.videos(bench, stored, people, banned)
    flows = items.flows(bench, stored, people, banned)
    if blacklist is not None and listed:
        items.log_idle(blacklist, banned, videos, flows)
    events = facts.events(bench, stored, users, videos, flows)
    connections = facts.connections(bench, stored, users)
    views, exhibited = facts.seen_counts(bench, stored, videos)

    watermark = _newest(
        bench, everyone.created_at, videos.created_at, flows.created_at, events["at"], connections["at"], views["at"]
    )
    acts, flow_acts = facts.interactions(events, watermark)
    servable = kept(videos)
    counts = [
        kept(table).group_by(video_id=table.item_id).aggregate(**{name: kept(table).count()})
        for table, name in ((views, "views"), (exhibited, "exhibited_count"))
    ]
    for counted in counts:
        name = counted.columns[1]
        servable = servable.left_join(counted, servable.id == counted.video_id).drop("video_id")
        servable = servable.mutate(**{name: servable[name].fill_null(0)})
    result = Frames(
        users=users,
        cities=people.cities,
        profiles=people.profiles,
        lists=people.lists,
        videos=bench.keep("videos", servable.drop("owner_id", "owner_fate", "status", "deleted")),
        interactions=bench.keep("interactions", acts),
        flow_interactions=bench.keep("flow_interactions", flow_acts),
        exposures=bench.keep("exposures", exposures.table(events, views, users)),
        connections=bench.keep("connections", facts.both_ways(connections)),
        flows=bench.keep("flows", kept(flows).drop("owner_id", "owner_fate", "status", "deleted")),
        watermark=watermark,
        skipped=_skipped(bench),
    )
    for kind, n in result.skipped.items():
        log.info("skipped %s: %d", kind, n)
    return result


def _skipped(bench: Workbench) -> Mapping[str, int]:
    bench.settle()
    return {kind: n for kind, n in sorted(bench.skipped.items()) if n}


def _newest(bench: Workbench, *times: ir.FloatingColumn) -> float:
    newest = ibis.union(*(t.as_table().select(at=t.as_table()[t.get_name()]) for t in times))
    newest = newest.filter(newest["at"] <= bench.last_moment)
    return float(newest.aggregate(at=newest["at"].max()).to_pyarrow()["at"][0].as_py() or 0.0)
