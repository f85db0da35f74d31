"""Frames → item scores, vocabulary, co-occurrence, viewers, graph: SPEC 4-5. Relational; row order means nothing.

Sums that end in the snapshot are taken over whole numbers, so that they do not depend on the order of rows.
"""

from dataclasses import dataclass

import ibis
import pyarrow as pa
from ibis import ir

from talentfeed.contracts import HISTORY_KINDS, N_KNOWLEDGES, N_LANGUAGES, N_SKILLS, N_TOOLS
from talentfeed.snapshot.clean import null
from talentfeed.snapshot.exposures import liked
from talentfeed.snapshot.frames import Frames
from talentfeed.snapshot.workbench import Workbench

KINDS = ("skills", "knowledges", "tools", "languages")  # by kind 0..3, in the order of token ids
KEPT = (N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES)
UNIT = 10**12  # a rating's, as a whole number
SHARE_UNIT = 10**15  # a share's


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What a snapshot is packed from. Times are float64 seconds, null where unknown."""

    videos: ir.Table  # id, user_id, created_at, city and the scores: see `_scores`
    tokens: ir.Table  # token (1..), kind, text
    video_tokens: ir.Table  # video_id, kind, place (0..), token
    cooccurrence: ir.Table  # one, other (token ids of skills), videos: how many have both
    marks: ir.Table  # list (of `Frames.lists`), mark: a token + n_texts, or less for a skill that no video has
    n_texts: int
    history: ir.Table  # user_id, video_id, at, kind (place in HISTORY_KINDS), liked
    flow_history: ir.Table  # user_id, flow_id, at
    connections: ir.Table  # user_id, connected_user_id


def derive(bench: Workbench, frames: Frames) -> Tables:
    """All tables of a snapshot."""
    raw_videos = bench.keep("raw_video_mentions", _placed_mentions(frames.videos, "id", "video_id"))
    raw_lists = bench.keep("raw_list_mentions", frames.lists.select("list", "kind", raw=frames.lists.texts.unnest()))
    texts, n_texts = _texts(bench, raw_videos, raw_lists)
    video_mentions = bench.keep("video_mentions", _first_mentions(raw_videos, texts))
    tokens = bench.keep("tokens", _vocabulary(video_mentions))
    video_tokens = bench.keep(
        "video_tokens", video_mentions.join(tokens, ["kind", "text"]).select("video_id", "kind", "place", "token")
    )
    interactions = frames.interactions
    return Tables(
        videos=bench.keep("scored", _scores(frames, video_tokens)),
        tokens=tokens,
        video_tokens=video_tokens,
        cooccurrence=_cooccurrence(video_tokens),
        marks=_marks(bench, raw_lists, texts, tokens, n_texts),
        n_texts=n_texts,
        history=interactions.select(
            "user_id",
            "video_id",
            at=interactions["at"],
            kind=interactions.interaction_type.cases(
                *((name, code) for code, name in enumerate(HISTORY_KINDS)), else_=null("int8")
            ).cast("int8"),
            liked=liked(interactions) & ~interactions.superseded,
        ),
        flow_history=frames.flow_interactions,
        connections=frames.connections.select("user_id", "connected_user_id"),
    )


def _placed_mentions(frame: ir.Table, key: str, name: str) -> ir.Table:
    """(name, kind, place, raw): one row a text of a list."""
    lists = ibis.union(
        *(
            frame.select(**{name: frame[key]}, kind=ibis.literal(kind, "int8"), texts=frame[column])
            for kind, column in enumerate(KINDS)
        )
    )
    # `unnest` with an offset is a hundred times as dear
    one = lists.texts.map(lambda raw, place: ibis.struct({"raw": raw, "place": place})).unnest()
    placed = lists.select(name, "kind", one=one)
    return placed.select(name, "kind", place=placed.one.place, raw=placed.one.raw)


def _texts(bench: Workbench, *mentions: ir.Table) -> tuple[ir.Table, int]:
    """(raw, text, code), number of codes.

    Texts are compared stripped and casefolded, which only Python does alike everywhere.
    """
    raw = ibis.union(*(m.select("raw") for m in mentions), distinct=True).to_pyarrow()["raw"].to_pylist()
    texts = [(r, text) for r in raw if (text := r.strip().casefold())]
    codes = {text: code for code, text in enumerate(sorted({text for _, text in texts}))}
    table = bench.load(
        "texts",
        pa.table(
            {
                "raw": pa.array([r for r, _ in texts], pa.string()),
                "text": pa.array([text for _, text in texts], pa.string()),
                "code": pa.array([codes[text] for _, text in texts], pa.int32()),
            }
        ),
    )
    return table, len(codes)


def _first_mentions(mentions: ir.Table, texts: ir.Table) -> ir.Table:
    """(video_id, kind, place, text): each text once, where first mentioned; so many of a kind as are kept."""
    rows = mentions.join(texts, "raw")
    rows = rows.group_by("video_id", "kind", "text").aggregate(first=rows.place.min())
    rows = rows.mutate(place=ibis.row_number().over(group_by=["video_id", "kind"], order_by=rows.first))
    limits = ibis.cases(*((rows.kind == kind, limit) for kind, limit in enumerate(KEPT)), else_=0)
    return rows.filter(rows.place < limits).select("video_id", "kind", "place", "text")


def _vocabulary(video_mentions: ir.Table) -> ir.Table:
    """(token, kind, text): ids from 1, skills first, texts of a kind in order of their code points."""
    distinct = video_mentions.select("kind", "text").distinct()
    order = ibis.row_number().over(order_by=[distinct.kind, distinct.text])
    return distinct.mutate(token=(order + 1).cast("int32"))


def _cooccurrence(video_tokens: ir.Table) -> ir.Table:
    """(one, other, videos): how many videos have both skills; with itself: how many have it."""
    skills = video_tokens.filter(video_tokens.kind == 0)
    ones, others = skills.select("video_id", one="token"), skills.select("video_id", other="token")
    pairs = ones.join(others, "video_id")
    return pairs.group_by("one", "other").aggregate(videos=pairs.count())


def _marks(bench: Workbench, mentions: ir.Table, texts: ir.Table, tokens: ir.Table, n_texts: int) -> ir.Table:
    """(list, mark): the tokens that videos have, plus n_texts; for a skill that none has its text's code."""
    spelled = texts.join(tokens, "text")
    spelled = spelled.select("raw", "kind", mark=(spelled.token + n_texts).cast("int32"))
    other = texts.cross_join(bench.load("kind_of_skills", pa.table({"kind": pa.array([0], pa.int8())})))
    other = other.anti_join(tokens, ["kind", "text"]).select("raw", "kind", mark="code")
    return mentions.join(ibis.union(spelled, other), ["raw", "kind"]).select("list", "mark")


def _scores(frames: Frames, video_tokens: ir.Table) -> ir.Table:
    """Item scores of SPEC 4 that do not age.

    id, user_id, created_at, city, views, avg_rating, rating_count, connection_count, like_count, exhibited_count,
    engagement, quality, popularity, skill_diversity, skill_rarity, passes_quality_gate
    """
    acts = frames.interactions
    rated, saved, matched = (acts.interaction_type == kind for kind in ("rating", "save", "match"))
    whole = (acts.rating * UNIT).round().cast("int64")
    counted = acts.group_by("video_id").aggregate(
        rating_sum=whole.sum(where=rated),
        rating_count=acts.count(where=rated),
        like_count=acts.count(where=saved),
        connection_count=acts.count(where=matched),
    )
    skills = video_tokens.filter(video_tokens.kind == 0)
    holders = skills.group_by("token").aggregate(videos=skills.count())
    rare = skills.join(holders, "token")
    share = (SHARE_UNIT / (rare.videos + 1)).round().cast("int64")
    rarity = rare.group_by(rare_id=rare.video_id).aggregate(
        skill_rarity=100.0 * share.sum().cast("float64") / SHARE_UNIT / rare.count()
    )
    diverse = video_tokens.filter(video_tokens.kind < 3)
    diversity = diverse.group_by(diverse_id=diverse.video_id).aggregate(skill_diversity=diverse.count() / 15)

    v = frames.videos.select("id", "user_id", "created_at", "city", "views", "exhibited_count")
    v = v.left_join(counted, v.id == counted.video_id)
    v = v.left_join(rarity, v.id == rarity.rare_id)
    v = v.left_join(diversity, v.id == diversity.diverse_id)
    v = v.mutate(
        avg_rating=ibis.ifelse(
            v.rating_count > 0, v.rating_sum.cast("float64") / UNIT / v.rating_count, null("float64")
        ).fill_null(0.0),
        **{c: v[c].fill_null(0) for c in ("rating_count", "like_count", "connection_count")},
        **{c: v[c].fill_null(0.0) for c in ("skill_rarity", "skill_diversity")},
    )
    log_views, log_matches = (v.views + 1).ln(), (v.connection_count + 1).ln()
    v = v.mutate(log_views=log_views, log_matches=log_matches)
    return v.mutate(
        engagement=0.35 * _norm01(v.log_views) + 0.40 * v.avg_rating / 5 + 0.25 * _norm01(v.log_matches),
        quality=0.7 * v.avg_rating * v.rating_count / (v.rating_count + 10) + 0.3 * v.log_matches,
        popularity=0.40 * v.log_views + 0.35 * v.avg_rating + 0.25 * v.log_matches,
        passes_quality_gate=((v.avg_rating >= 3) | (v.views >= 20) | (v.connection_count >= 2) | (v.rating_count >= 2)),
    ).drop("video_id", "rare_id", "diverse_id", "rating_sum", "log_matches")


def _norm01(column: ir.FloatingColumn) -> ir.FloatingValue:
    """Min-max over the catalogue; 0 where it has no spread."""
    low, high = column.min().over(), column.max().over()
    return ibis.ifelse(high > low, (column - low) / (high - low), 0.0)
