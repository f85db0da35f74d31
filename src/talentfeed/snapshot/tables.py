"""Frames → item scores, vocabulary, co-occurrence, viewers, graph: SPEC 4-5. Relational; row order means nothing.

Sums that end in the snapshot are taken over whole numbers, so that they do not depend on the order of rows.
"""

import ibis
from ibis import ir

from talentfeed.contracts import HISTORY_KINDS
from talentfeed.snapshot.arriving import KEPT, KINDS
from talentfeed.snapshot.clean import null
from talentfeed.snapshot.desk import Desk, whole
from talentfeed.snapshot.shown import liked

UNIT = 10**12  # a rating's, as a whole number
SHARE_UNIT = 10**15  # a share's


def mentions(desk: Desk) -> None:
    """`video_mentions` (video_id, kind, place, raw), `list_mentions` (list, kind, raw); result: the `raw_texts`."""
    lists = desk["lists"]
    ones = desk.keep("video_mentions", _placed_mentions(desk["videos"], "id", "video_id"))
    others = desk.keep("list_mentions", lists.select("list", "kind", raw=lists.texts.unnest()))
    desk.result("raw_texts", ibis.union(ones.select("raw"), others.select("raw"), distinct=True))


def derive(desk: Desk, acts: ir.Table) -> None:
    """What a snapshot is packed from, as results. acts: the interactions. Times are float64 seconds, null if unknown.

    scored: videos with id, user_id, created_at, city and scores, see `_scores`. tokens: token (1..), kind, text.
    video_tokens: video_id, kind, place (0..), token. cooccurrence: one, other (token ids of skills), videos: how many
    have both. marks: list, mark: a token + n_texts, or less for a skill that no video has. history: user_id, video_id,
    at, kind (place in HISTORY_KINDS), liked.
    """
    texts = desk["texts"]
    firsts = desk.keep("first_mentions", _first_mentions(desk["video_mentions"], texts))
    tokens = desk.keep("tokens", _vocabulary(firsts))
    video_tokens = desk.keep(
        "video_tokens", firsts.join(tokens, ["kind", "text"]).select("video_id", "kind", "place", "token")
    )
    desk.result("tokens", tokens)
    desk.result("video_tokens", video_tokens)
    desk.result("cooccurrence", _cooccurrence(video_tokens))
    desk.result("marks", _marks(desk, desk["list_mentions"], tokens))
    desk.result("scored", _scores(desk["videos"], acts, video_tokens))
    desk.result(
        "history",
        acts.select(
            "user_id",
            "video_id",
            at=acts["at"],
            kind=acts.interaction_type.cases(
                *((name, code) for code, name in enumerate(HISTORY_KINDS)), else_=null("int8")
            ).cast("int8"),
            liked=liked(acts) & ~acts.superseded,
        ),
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


def _marks(desk: Desk, mentions: ir.Table, tokens: ir.Table) -> ir.Table:
    """(list, mark): the tokens that videos have, plus n_texts; for a skill that none has its text's code."""
    texts = desk["texts"]
    spelled = texts.join(tokens, "text")
    spelled = spelled.select("raw", "kind", mark=(spelled.token + whole("n_texts")).cast("int32"))
    other = texts.cross_join(desk["kind_of_skills"])
    other = other.anti_join(tokens, ["kind", "text"]).select("raw", "kind", mark="code")
    return mentions.join(ibis.union(spelled, other), ["raw", "kind"]).select("list", "mark")


def _scores(videos: ir.Table, acts: ir.Table, video_tokens: ir.Table) -> ir.Table:
    """Item scores of SPEC 4 that do not age.

    id, user_id, created_at, city, views, avg_rating, rating_count, connection_count, like_count, exhibited_count,
    engagement, quality, popularity, skill_diversity, skill_rarity, passes_quality_gate
    """
    rated, saved, matched = (acts.interaction_type == kind for kind in ("rating", "save", "match"))
    units = (acts.rating * UNIT).round().cast("int64")
    counted = acts.group_by("video_id").aggregate(
        rating_sum=units.sum(where=rated),
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

    v = videos.select("id", "user_id", "created_at", "city", "views", "exhibited_count")
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
