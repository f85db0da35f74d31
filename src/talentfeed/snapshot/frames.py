"""Tables as stored → the five frames, cleaned: SPEC 3. Every value and row left out is counted by kind."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ibis
import pyarrow as pa
from ibis import ir

from talentfeed.snapshot import facts, items
from talentfeed.snapshot.workbench import Workbench, kept

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """The five frames. Times are float64 seconds, null where unknown; lists are arrays of texts as stored.

    `profiles` is the other half of `users`: the JSON lists, by user. `city` is normalised; a video's or flow's is its
    creator's.
    """

    users: ir.Table  # id, name, city, created_at
    profiles: ir.Table  # user_id, skills, knowledges, tools, languages
    videos: ir.Table  # id, user_id, url, image, the lists, role_objectives, description, created_at, city,
    #                   creator_name, views, exhibited_count
    interactions: ir.Table  # user_id, video_id, rating, at, interaction_type, watch_ratio, superseded
    flow_interactions: ir.Table  # user_id, flow_id, at
    connections: ir.Table  # user_id, connected_user_id, at: both ways
    flows: ir.Table  # id, user_id, url, image, name, slug, ..., created_at, updated_at, status_at, city, creator_name
    watermark: float  # newest time in the input; 0 where it has none
    skipped: Mapping[str, int]  # `table.kind` -> how many values or rows


def clean(bench: Workbench, raw: dict[str, pa.Table], *, blacklist: Path | None = None) -> Frames:
    """Clean all tables of `source.read`, which is emptied. No blacklist file is no error, but logged."""
    listed = None if blacklist is None else items.listed_urls(blacklist)
    if blacklist is not None and listed is None:
        log.warning("blacklist %s: no such file; no URL is blacklisted", blacklist)
    lines, urls = [line for line, _ in listed or ()], [url for _, url in listed or ()]
    banned = bench.load(
        "blacklist", pa.table({"line": pa.array(lines, pa.int64()), "url": pa.array(urls, pa.string())})
    )

    everyone, users, profiles = items.people(bench, raw)
    videos = items.videos(bench, raw, everyone, users, banned)
    flows = items.flows(bench, raw, everyone, users, banned)
    if blacklist is not None and listed:
        items.log_idle(blacklist, banned, videos, flows)
    events = facts.events(bench, raw, users, videos, flows)
    connections = facts.connections(bench, raw["user_connections"], users)
    views, exhibited = facts.seen_counts(bench, raw, videos)

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
        profiles=profiles,
        videos=bench.keep("videos", servable.drop("owner_id", "owner_fate", "status", "deleted")),
        interactions=bench.keep("interactions", acts),
        flow_interactions=bench.keep("flow_interactions", flow_acts),
        connections=bench.keep("connections", facts.both_ways(connections)),
        flows=bench.keep("flows", kept(flows).drop("owner_id", "owner_fate", "status", "deleted")),
        watermark=watermark,
        skipped={kind: n for kind, n in sorted(bench.skipped.items()) if n},
    )
    for kind, n in result.skipped.items():
        log.info("skipped %s: %d", kind, n)
    bench.forget(f"raw_{table}" for table in raw)
    raw.clear()
    return result


def _newest(bench: Workbench, *times: ir.FloatingColumn) -> float:
    newest = ibis.union(*(t.as_table().select(at=t.as_table()[t.get_name()]) for t in times))
    newest = newest.filter(newest["at"] <= bench.last_moment)
    return float(newest.aggregate(at=newest["at"].max()).to_pyarrow()["at"][0].as_py() or 0.0)
