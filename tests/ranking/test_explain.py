"""An explanation is true: its sums, its probabilities and its reasons, for odd catalogues and learned policies."""

import math
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ranking.factory import NOW, flow, make_snapshot, seen, user, video
from tests.ranking.strategies import VIEWER, Asked, asked, events, policies, snapshots
from tests.reference.slate import Feed

from talentfeed.contracts import Event, FeedRequest, Kind, Policy, Pool, Slot, Snapshot
from talentfeed.ranking import parts, viewer
from talentfeed.ranking.explain import explain
from talentfeed.ranking.explanation import Explanation, SlotExplanation
from talentfeed.ranking.feed import (
    LEARNING,
    Ranker,
    flow_scores,
    initial_policy,
    parse_pattern,
    pattern_for,
    prepare,
    rank,
    video_features,
    video_scores,
)
from talentfeed.ranking.presets import preset
from talentfeed.ranking.record import FeedRecord, Replay, replay, served_slots

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
CLASSIC = preset("classic")
DRAWN_BY_SCORE = {Pool.POPULAR, Pool.AFFINITY, Pool.FRESH, Pool.FLOW}
RULES = {"creator_window", "skill_diversity", "new_content"}


def recorded(ranker: Ranker, request: FeedRequest, seed: int, news: Sequence[Event] = ()) -> FeedRecord:
    """Serve a feed of the viewer and keep its record."""
    who = viewer.read(ranker.snapshot, VIEWER, news)
    slate = rank(ranker, who, request, now=NOW, seed=seed)
    return FeedRecord(
        feed_id=f"{seed:032x}",
        snapshot=ranker.snapshot.manifest.version,
        policy=ranker.policy.version,
        preset=ranker.preset.name,
        epsilon=ranker.epsilon,
        user_id=VIEWER,
        events=news,
        request=request,
        now=NOW,
        slots=served_slots(ranker.snapshot, slate),
    )


def explained(ranker: Ranker, record: FeedRecord) -> tuple[Explanation, Replay]:
    again = replay(record, ranker)
    return explain(record, ranker, again), again


def page(endpoint: str = "total", size: int = 24, excluded: Sequence[int] = ()) -> FeedRequest:
    pattern = parse_pattern("VMP AU AU VMP NU FW")
    return FeedRequest(
        endpoint=endpoint,
        pattern=pattern_for(endpoint, pattern),
        size=size,
        excluded_ids=np.array(excluded, np.int64),
        recent_creators=(),
        shown_flows=np.zeros(0, np.int32),
    )


@given(data=st.data(), policy=policies(), news=events())
@SLOW
def test_the_parts_of_a_score_add_up_to_it_whatever_was_learned(
    data: st.DataObject, policy: Policy, news: list[Event]
) -> None:
    snapshot = data.draw(snapshots())
    seed = data.draw(st.integers(0, 2**128 - 1))
    ranker = prepare(snapshot, policy, CLASSIC)
    who = viewer.read(snapshot, VIEWER, news)
    rows = range(len(snapshot.videos.id))
    scores = video_scores(ranker, who, NOW, seed)
    x = video_features(ranker, who, rows, now=NOW, seed=seed)
    for pool in LEARNING:
        for part in parts.video_parts(ranker, pool, rows, x, scores[pool], now=NOW, seed=seed):
            assert len(part.features) == 18
            assert all(math.isclose(f.adds, f.x * f.theta) for f in part.features)
            assert part.total == pytest.approx(part.score, rel=1e-12, abs=1e-9)
    all_flows = range(len(snapshot.flows.id))
    for part in parts.flow_parts(ranker, all_flows, flow_scores(ranker, who, NOW, seed), now=NOW, seed=seed):
        assert part.total == pytest.approx(part.score, abs=1e-9)


@given(data=st.data(), policy=policies(), news=events())
@SLOW
def test_an_explanation_holds_before_a_slow_reading_of_the_rules(
    data: st.DataObject, policy: Policy, news: list[Event]
) -> None:
    snapshot = data.draw(snapshots())
    ask: Asked = data.draw(asked(snapshot))
    ranker = prepare(snapshot, policy, CLASSIC, epsilon=ask.epsilon)
    record = recorded(ranker, ask.request, ask.seed, news)
    found, again = explained(ranker, record)
    assert found.identical
    removed: Counter[str] = Counter()
    for kind in found.candidates.values():
        removed.update(kind.removed)
        assert kind.left == kind.all - sum(kind.removed.values())
    assert dict(removed) == dict(again.slate.removed)
    judge = Judge(ranker, record, again)
    for told, slot in zip(found.slots, again.slate.slots, strict=True):
        judge.look_at(told, slot)


@pytest.mark.parametrize("seed", range(16))
def test_an_explanation_holds_in_a_crowd_where_every_rule_is_at_work(seed: int) -> None:
    rng = np.random.default_rng(seed)
    snapshot = make_snapshot(
        videos=[
            video(
                n,
                creator=int(rng.integers(1, 18)),
                age_days=float(rng.choice([3, 44, 46, 200], p=[0.2, 0.2, 0.3, 0.3])),
                skills=rng.choice(list("abcdefghijklmnopqrst"), rng.integers(0, 5), replace=False).tolist(),
                tools=rng.choice(list("xyz"), 1).tolist(),
                views=int(rng.integers(0, 40)),
                rating=float(rng.integers(0, 6)),
                rating_count=2,
            )
            for n in range(1, 91)
        ],
        flows=[flow(n, creator=int(rng.integers(1, 18)), age_days=float(rng.integers(1, 90))) for n in range(80, 94)],
        users=[
            user(VIEWER, history=[seen(int(n)) for n in rng.choice(90, 8, replace=False) + 1], connections=[2, 3, 4])
        ],
    )
    excluded = rng.choice(93, rng.choice([0, 20]), replace=False).tolist()
    request = page(["total", "total", "discover", "flow"][seed % 4], int(rng.choice([12, 24])), excluded)
    request = msgspec.structs.replace(
        request,
        recent_creators=viewer.last_creators(snapshot, excluded),
        shown_flows=rng.choice(14, 3, replace=False).astype(np.int32),
    )
    ranker = prepare(snapshot, initial_policy(), CLASSIC, epsilon=float(rng.choice([0.0, 0.02, 0.4])))
    record = recorded(ranker, request, seed)
    found, again = explained(ranker, record)
    judge = Judge(ranker, record, again)
    for told, slot in zip(found.slots, again.slate.slots, strict=True):
        judge.look_at(told, slot)


class Judge:
    """Looks at one place after the other with the slow reading of SPEC 7."""

    def __init__(self, ranker: Ranker, record: FeedRecord, again: Replay) -> None:
        self.ranker, self.request = ranker, record.request
        snapshot = ranker.snapshot
        self.feed = Feed(snapshot, again.viewer, record.request, record.now, [])
        self.kinds = {"total": list(Kind), "discover": [Kind.VIDEO], "flow": [Kind.FLOW]}[record.request.endpoint]
        at = ranker, again.viewer, record.now, record.seed
        self.scores = {pool: s.tolist() for pool, s in video_scores(*at).items()}
        self.scores[Pool.FLOW] = flow_scores(*at).tolist()
        pattern = record.request.pattern
        self.plan = [pattern[n % len(pattern)] for n in range(record.request.size)]

    def look_at(self, told: SlotExplanation, slot: Slot) -> None:
        ids = (self.ranker.snapshot.videos if slot.kind is Kind.VIDEO else self.ranker.snapshot.flows).id
        assert (told.item.id, told.pool, told.planned) == (int(ids[slot.index]), slot.pool.value, slot.planned.value)
        draw = told.draw
        probability = (1 - draw.explore_share) * draw.from_pool + draw.explore_share / max(draw.admissible, 1)
        assert probability == pytest.approx(slot.probability, rel=1e-12)
        if slot.pool in DRAWN_BY_SCORE:
            self._scored(told, slot, ids.tolist())
        else:
            assert told.score is None
            assert not told.passed_over
            assert not told.lost
        assert told.why.endswith(".")
        self.feed.served.append((slot.kind, slot.index))

    def _scored(self, told: SlotExplanation, slot: Slot, ids: list[int]) -> None:
        scores = self.scores[slot.pool]
        order = sorted(
            (row for row in self.feed.listing(slot.kind) if self._suits(slot.pool, row)),
            key=lambda r: self._key(slot, r),
        )
        ahead = [row for row in order if self._key(slot, row) < self._key(slot, slot.index)]
        assert sum(told.passed_over.values()) == len(ahead)
        reasons = {row: self._why_not(slot, row) for row in order}
        if not slot.gave_way:  # then every rule was held to, and the reasons can be told without knowing what relaxed
            outcome = "explored" if slot.explored else "chance" if slot.pool in (Pool.POPULAR, Pool.FRESH) else "score"
            counted = Counter(reasons[row] or outcome for row in ahead)
            if "shortlist" in told.passed_over:
                counted[outcome] -= told.passed_over["shortlist"]
                counted["shortlist"] = told.passed_over["shortlist"]
            assert +counted == Counter(told.passed_over)
            open_to = [row for row in order if row != slot.index and reasons[row] in RULES | {None}]
            assert [lost.item.id for lost in told.lost] == [ids[row] for row in open_to[:3]]
        for lost in told.lost:
            row = ids.index(lost.item.id)
            assert row != slot.index
            assert lost.score == scores[row]
            assert not self.feed.gone((slot.kind, row))
            if lost.reason in RULES:
                assert lost.reason in self._facts(slot, row)
            assert (lost.reason == "explored") <= slot.explored
        assert told.score is not None
        assert told.score.total == pytest.approx(scores[slot.index], rel=1e-12, abs=1e-9)

    def _key(self, slot: Slot, row: int) -> tuple[int, float, int]:
        tier = 0
        if self.request.endpoint == "flow":
            creator = int(self.ranker.snapshot.flows.creator[row])
            tier = 2 * (row in self.request.shown_flows.tolist())
            tier += creator not in self.feed.viewer.connections.tolist()
        return tier, -self.scores[slot.pool][row], row

    def _suits(self, pool: Pool, row: int) -> bool:
        if pool is Pool.POPULAR:
            return bool(self.ranker.snapshot.videos.features[row, 12] > 0)
        return self.feed.new(row) if pool is Pool.FRESH else True

    def _only(self, slot: Slot) -> set[bool | None]:
        rest = self.plan[len(self.feed.served) :]
        return {self.feed.only_new(rest, self.kinds, keep_for_fresh=keep) for keep in (True, False)}

    def _facts(self, slot: Slot, row: int) -> set[str]:
        """Every rule against it."""
        facts = {"creator_window"} if self.feed.places_since((slot.kind, row)) < 12 else set()
        if slot.kind is Kind.VIDEO:
            facts |= {"skill_diversity"} if self.feed.not_diverse(row) else set()
            facts |= {"new_content"} if {not self.feed.new(row)} & self._only(slot) else set()
        return facts | ({"new_content"} if self._waits(slot, row) else set())

    def _waits(self, slot: Slot, row: int) -> bool:
        """Whether it waits for its creator's new video."""
        if slot.kind is Kind.VIDEO and self.feed.new(row):
            return False
        rest = self.plan[len(self.feed.served) :]
        return self.feed.creator((slot.kind, row)) in self.feed.waiting(rest, self.kinds)

    def _why_not(self, slot: Slot, row: int) -> str | None:
        """The first reason against it while all rules hold; None: it may stand."""
        item = (slot.kind, row)
        if item in self.feed.served:
            return "already_in_feed"
        if self.feed.gone(item):
            return "excluded"
        if self.feed.seen(item):
            return "already_seen"
        if self.feed.places_since(item) < 12:
            return "creator_window"
        waits = "new_content" if self._spares(slot) and self._waits(slot, row) else None
        if slot.kind is Kind.FLOW:
            return waits
        if self.feed.not_diverse(row):
            return "skill_diversity"
        rest = self.plan[len(self.feed.served) :]
        only = self.feed.only_new(rest, self.kinds, keep_for_fresh=self._keeps_for_fresh(slot, rest))
        return "new_content" if only is not None and only != self.feed.new(row) else waits

    def _spares(self, slot: Slot) -> bool:
        """Whether anything of the slot's own kind may stand while creators of new videos are spared."""
        own = Kind.FLOW if slot.planned is Pool.FLOW else Kind.VIDEO
        kind = own if own in self.kinds else Kind(1 - own)
        rest = self.plan[len(self.feed.served) :]
        waiting = self.feed.waiting(rest, self.kinds)
        only = self.feed.only_new(rest, self.kinds, keep_for_fresh=True)
        return bool(waiting) and any(
            self.feed.places_since((kind, row)) >= 12
            and (kind is Kind.FLOW or only is None or only == self.feed.new(row))
            and (kind is Kind.FLOW or not self.feed.not_diverse(row))
            and (self.feed.creator((kind, row)) not in waiting or (kind is Kind.VIDEO and self.feed.new(row)))
            for row in self.feed.unseen(kind)
        )

    def _keeps_for_fresh(self, slot: Slot, rest: Sequence[Pool]) -> bool:
        """Whether anything of the slot's own kinds may stand while new videos are kept for the fresh slots."""
        own = Kind.FLOW if slot.planned is Pool.FLOW else Kind.VIDEO
        only = self.feed.only_new(rest, self.kinds, keep_for_fresh=True)
        for kind in self.kinds:
            if kind is Kind.FLOW and own is not Kind.FLOW:
                continue
            for row in self.feed.unseen(kind):
                good = self.feed.places_since((kind, row)) >= 12
                if kind is Kind.VIDEO:
                    good = good and not self.feed.not_diverse(row) and (only is None or only == self.feed.new(row))
                if good:
                    return True
        return False


def by_name(snapshot: Snapshot, request: FeedRequest, seed: int = 5) -> Explanation:
    ranker = prepare(snapshot, initial_policy(), CLASSIC, epsilon=0.0)
    return explained(ranker, recorded(ranker, request, seed))[0]


def test_a_better_video_by_the_same_creator_is_named_with_the_rule() -> None:
    skilled = {"skills": ["dance"], "age_days": 100.0}
    found = by_name(
        make_snapshot(
            videos=[
                video(1, creator=1, **skilled, tools=["a"]),
                video(2, creator=1, **skilled, tools=["b"]),
                video(3, creator=2, age_days=100.0),
            ],
            users=[user(VIEWER, skills=["dance"], tools=["a", "b"])],
        ),
        msgspec.structs.replace(page("discover", 2), pattern=(Pool.AFFINITY,)),
    )
    first, second = found.slots
    assert {first.item.id} | {lost.item.id for lost in first.lost} == {1, 2, 3}
    assert first.lost[0].reason == "score"
    assert second.item.id == 3
    assert [(lost.item.id, lost.reason) for lost in second.lost] == [(3 - first.item.id, "creator_window")]
    assert second.passed_over == {"already_in_feed": 1, "creator_window": 1}
    assert "1 by a creator of the last 11 items" in second.why


def test_the_viewer_is_told_by_names() -> None:
    found = by_name(
        make_snapshot(
            videos=[video(n, creator=n, skills=["dance", f"other {n}"], city="Cali") for n in range(1, 30)],
            flows=[flow(90, creator=50)],
            users=[user(VIEWER, city="Cali", history=[seen(1)], connections=[2, 3])],
        ),
        page(excluded=[2, 90, 777]),
    )
    assert found.viewer.connections == 2
    assert {skill.name: skill.weight for skill in found.viewer.skills} == {"dance": 0.5, "other 1": 0.5}
    assert found.viewer.cities == ["Cali"]
    assert found.candidates["resume"].removed == {"excluded": 1, "already_seen": 1}
    assert found.candidates["challenge"].removed == {"excluded": 1, "already_seen": 0}
    assert {fallback.planned for fallback in found.fallbacks} >= {"FW"}
    assert "which had nothing that may stand" in found.slots[5].why
