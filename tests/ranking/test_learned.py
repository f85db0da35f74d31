"""The preset `learned`: retrieval by the blend and one bandit, beside a plain reference."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ranking import strategies
from tests.ranking import test_explain as explaining
from tests.ranking.at_scale import random_snapshot
from tests.ranking.factory import NOW, make_snapshot, user, video
from tests.ranking.signals import with_signals
from tests.ranking.test_slate import ask
from tests.ranking.test_slate import assert_is_reference as assert_slate_is_reference
from tests.reference import learned as reference

from talentfeed.contracts import Counts, Event, EventType, Floats, Kind, Policy, Pool, Snapshot, Viewer
from talentfeed.errors import PolicyError, RequestMisfitError, SnapshotError
from talentfeed.ranking import feed, learned, linucb
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.presets import LearnedWeights, Preset, preset

LEARNED = preset("learned")
many = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def of_sizes(*sizes: int) -> Preset:
    """`learned` that scores so many of the popular, the affine and the fresh."""
    weights = LEARNED.learned
    assert weights is not None
    return replace(LEARNED, learned=replace(weights, retrieved=dict(zip(feed.LEARNING, sizes, strict=True))))


def event(video_id: int, at: float, kind: EventType = EventType.VIDEO_VIEW, watched: float | None = None) -> Event:
    return Event(event_type=kind, kind=Kind.VIDEO, item_id=video_id, at=at, watch_ratio=watched)


def features_of_classic(snapshot: Snapshot, who: Viewer, seed: int) -> Floats:
    """The 18 features as `classic` has them, (videos, 18)."""
    ranker = feed.prepare(snapshot, feed.initial_policy(), preset("classic"))
    return feed.video_features(ranker, who, range(len(snapshot.videos.id)), now=NOW, seed=seed)


def assert_is_reference(snapshot: Snapshot, who: Viewer, weights: Preset, policy: Policy, seed: int) -> None:
    ranker = feed.prepare(snapshot, policy, weights)
    signals, videos, state = snapshot.signals, snapshot.videos, policy.bandits[Pool.AFFINITY]
    assert signals is not None
    plain = features_of_classic(snapshot, who, seed).tolist()
    odds = reference.likely(signals, who.evidence.tolist(), plain)
    means = learned.posterior_means(learned.items_part(signals)[1], videos.id, policy.counts)
    taste = signals.blend.taste if len(who.evidence) else dict.fromkeys(signals.blend.taste, 0.0)
    whole = [value + reference.suits(taste, 0.0, row) for row, value in zip(plain, odds, strict=True)]
    x = np.array(
        [reference.scaled(row, value, mean) for row, value, mean in zip(plain, whole, means, strict=True)]
    ).reshape(-1, 20)
    asked = ranker.kernel.look(who, now=NOW, seed=seed)
    np.testing.assert_allclose(asked.likely(), odds, rtol=1e-5, atol=1e-5)  # factors are single
    asked.leave()
    found = feed.video_features(ranker, who, range(len(videos.id)), now=NOW, seed=seed)
    np.testing.assert_allclose(found, x, rtol=1e-5, atol=1e-5)
    scores = feed.video_scores(ranker, who, NOW, seed)
    wanted = [reference.ucb(state, row, alpha=LEARNED.affinity.alpha) for row in found]
    for pool in feed.LEARNING:
        np.testing.assert_allclose(scores[pool], wanted, rtol=1e-9, atol=1e-9)

    asked = ranker.kernel.ask(who, ask(), (Kind.VIDEO,), now=NOW, seed=seed)
    asked.candidates()
    asked.video_pools()
    odds = asked.likely().tolist()
    unseen = sorted(set(range(len(odds))) - set(who.seen_videos.tolist()))
    suits = {
        Pool.POPULAR: videos.features[:, 12] > 0,
        Pool.AFFINITY: np.ones(len(odds), np.bool_),
        Pool.FRESH: (videos.created_at > 0) & (NOW - videos.created_at < 45 * 86_400),
    }
    assert weights.learned is not None
    for pool in feed.LEARNING:
        candidates = [row for row in unseen if suits[pool][row]]
        best = sorted(candidates, key=lambda row: (-odds[row], row))[: weights.learned.retrieved[pool]]
        listed = sorted(best, key=lambda row: (-scores[pool][row], row))[: weights.of(pool).shortlist]
        rows, values = asked.listed(pool)
        assert rows.tolist() == listed
        assert values.tolist() == scores[pool][listed].tolist()
    asked.leave()


@many
@given(snapshot=strategies.snapshots(), data=st.data())
def test_what_is_retrieved_and_scored_is_the_reference_s(snapshot: Snapshot, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32))
    snapshot = with_signals(snapshot, seed, factors=data.draw(st.sampled_from([1, 3, 8, 13])))
    rng = np.random.default_rng(seed)
    n = data.draw(st.sampled_from([0, 1, 40]))
    state = linucb.update_many(feed.initial_policy(LEARNED).bandits[Pool.AFFINITY], rng.random((n, 20)), rng.random(n))
    policy = Policy(version="drawn", bandits={Pool.AFFINITY: state})
    weights = of_sizes(*data.draw(st.tuples(*[st.sampled_from([1, 3, 300])] * 3)))
    ids = [*snapshot.users.id.tolist(), 10**9]
    who = viewers.read(snapshot, data.draw(st.sampled_from(ids)), data.draw(strategies.events()))
    assert_is_reference(snapshot, who, weights, policy, seed)


def test_a_larger_catalogue_is_the_reference_s_too() -> None:
    snapshot = with_signals(random_snapshot(700, 20, 50, seed=3), 4, factors=64, neighbours=30)
    for row in (0, 7, 20):
        who = viewers.read(snapshot, int(snapshot.users.id[row]))
        assert_is_reference(snapshot, who, of_sizes(20, 40, 20), feed.initial_policy(LEARNED), row)


def test_what_is_reported_now_is_evidence_before_what_the_snapshot_knows() -> None:
    snapshot = with_signals(make_snapshot([video(n) for n in range(1, 9)], users=[user(100)]), 1)
    assert snapshot.signals is not None
    signals = replace(snapshot.signals, event_start=np.array([0, 2], np.int64), event_video=np.array([4, 5], np.int32))
    snapshot = replace(snapshot, signals=signals, users=make_snapshot([], users=[user(100)]).users)

    events = [
        event(1, 10.0, watched=0.1),  # hardly looked at
        event(2, 11.0, watched=0.9),
        event(3, 12.0, EventType.SKIP),
        event(6, 13.0),  # the fifth row: known, and newer now
        event(8, 12.5, EventType.LIKE),
        event(999, 14.0, EventType.LIKE),
    ]
    assert viewers.read(snapshot, 100).evidence.tolist() == [4, 5]
    assert viewers.read(snapshot, 100, events).evidence.tolist() == [5, 7, 1, 4]
    assert viewers.read(snapshot, 5, events[1:2]).evidence.tolist() == [1]


def test_a_newcomer_is_shown_what_suits_their_profile_of_what_is_popular() -> None:
    """Half of a catalogue of equals is about salsa."""
    videos = [video(n, skills=["salsa"] if n % 2 else ["law"], views=50) for n in range(1, 61)]
    people = [user(100, skills=["salsa"]), user(101, skills=["law"]), user(102)]
    snapshot = with_signals(make_snapshot(videos, users=people), 1)
    assert snapshot.signals is not None
    snapshot = replace(
        snapshot,
        signals=replace(
            snapshot.signals,
            event_start=np.zeros_like(snapshot.signals.event_start),
            event_video=snapshot.signals.event_video[:0],
            items=np.zeros_like(snapshot.signals.items),
        ),
    )
    ranker = feed.prepare(snapshot, feed.initial_policy(LEARNED), LEARNED)

    def salsa(user_id: int) -> int:
        scores = feed.video_scores(ranker, viewers.read(snapshot, user_id), NOW, 1)[Pool.AFFINITY]
        return int((np.argsort(-scores)[:20] % 2 == 0).sum())

    assert (salsa(100), salsa(101)) == (20, 0)
    assert 0 < salsa(102) < 20


def test_the_posterior_mean_follows_what_came_of_a_video() -> None:
    snapshot = with_signals(random_snapshot(30, 2, 5, seed=1), 2)
    assert snapshot.signals is not None
    ids, cold = snapshot.videos.id, learned.items_part(snapshot.signals)[1]
    before = learned.posterior_means(cold, ids, None)
    counts = Counts(
        id=np.array([int(ids[3]), int(ids[4]), int(ids[-1]) + 7], np.int64),
        shown=np.array([1000.0, 1000.0, 50.0]),
        rewarded=np.array([900.0, 10.0, 50.0]),
    )
    after = learned.posterior_means(cold, ids, counts)
    assert after[3] == pytest.approx(0.9, abs=0.02)
    assert after[4] == pytest.approx(0.01, abs=0.02)
    others = np.delete(np.arange(30), [3, 4])
    level = after[others] / before[others]  # rewards are higher now than they were: for all the same
    assert level.min() > 1.0
    np.testing.assert_allclose(level[after[others] < 1.0].max(), level.max())


def test_what_is_learned_changes_the_order() -> None:
    snapshot = with_signals(random_snapshot(60, 5, 20, seed=1), 2)
    who = viewers.read(snapshot, int(snapshot.users.id[0]))
    first = feed.prepare(snapshot, feed.initial_policy(LEARNED), LEARNED)
    x = feed.video_features(first, who, range(60), now=NOW, seed=1)
    diverse = np.flatnonzero(x[:, 4] > np.median(x[:, 4]))
    state = feed.initial_policy(LEARNED).bandits[Pool.AFFINITY]
    for _ in range(30):
        state = linucb.update_many(state, x, np.isin(np.arange(60), diverse).astype(np.float64))
    policy = Policy(version="later", bandits={Pool.AFFINITY: state})
    later = feed.prepare(snapshot, policy, LEARNED, before=first)
    assert later.kernel.arranged is first.kernel.arranged

    def diverse_at_the_top(ranker: feed.Ranker) -> int:
        best = np.argsort(-feed.video_scores(ranker, who, NOW, 1)[Pool.AFFINITY])[:20]
        return int(np.isin(best, diverse).sum())

    assert diverse_at_the_top(later) > diverse_at_the_top(first)


@many
@given(snapshot=strategies.snapshots(), data=st.data())
def test_every_choice_is_the_reference_choice(snapshot: Snapshot, data: st.DataObject) -> None:
    asked = data.draw(strategies.asked(snapshot))
    snapshot = with_signals(snapshot, asked.seed % 2**32)
    among = data.draw(st.sampled_from([None, 1, 2, 5]))
    weights = of_sizes(*data.draw(st.tuples(*[st.sampled_from([1, 3, 300])] * 3)))
    weights = replace(
        weights, popular=replace(LEARNED.popular, among=among), fresh=replace(LEARNED.fresh, size=30, among=among)
    )
    ranker = feed.prepare(snapshot, feed.initial_policy(LEARNED), weights, epsilon=asked.epsilon)
    who = viewers.read(snapshot, strategies.VIEWER, data.draw(strategies.events()))
    lists: dict[Pool, list[int]] = {}
    if asked.request.endpoint != "flow":
        looked = ranker.kernel.ask(who, asked.request, (Kind.VIDEO,), now=NOW, seed=asked.seed)
        looked.candidates()
        looked.video_pools()
        lists = {pool: looked.listed(pool)[0].tolist() for pool in feed.LEARNING}
        looked.leave()
    assert_slate_is_reference(ranker, who, asked.request, asked.seed, lists)


def test_where_the_best_may_not_stand_the_next_best_of_the_pool_do() -> None:
    """A feed has its share of new videos soon, and the newest are the most popular: the old ones stand further down."""
    videos = [video(n, age_days=1.0 if n <= 60 else 300.0, views=50, skills=[f"skill {n}"]) for n in range(1, 121)]
    snapshot = with_signals(make_snapshot(videos, users=[user(100)]), 1)
    assert snapshot.signals is not None
    items = np.repeat(np.arange(120, 0, -1.0)[:, None], snapshot.signals.items.shape[1], axis=1)
    plain = replace(snapshot.signals.blend, cold=dict.fromkeys(snapshot.signals.blend.cold, 0.01))
    snapshot = replace(snapshot, signals=replace(snapshot.signals, items=items, blend=plain))
    ranker = feed.prepare(snapshot, feed.initial_policy(LEARNED), LEARNED, epsilon=0.0)
    for seed in range(5):
        slate = feed.rank(ranker, viewers.read(snapshot, 100), ask("discover"), now=NOW, seed=seed)
        assert {slot.pool for slot in slate.slots} == {Pool.POPULAR, Pool.AFFINITY, Pool.FRESH}
        old = [slot for slot in slate.slots if slot.index >= 60 and slot.pool is Pool.POPULAR]
        assert old
        assert max(slot.index for slot in old) < 100
        assert min(slot.probability for slot in old) >= 1 / 24


def test_a_feed_keeps_its_rules_and_tells_how_likely_it_was() -> None:
    snapshot = with_signals(random_snapshot(300, 30, 60, seed=5), 5)
    ranker = feed.prepare(snapshot, feed.initial_policy(LEARNED), of_sizes(24, 48, 24))
    for row in range(20):
        who = viewers.read(snapshot, int(snapshot.users.id[row]))
        slate = feed.rank(ranker, who, ask(), now=NOW, seed=row)
        assert len(slate.slots) == 24
        assert len({(slot.kind, slot.index) for slot in slate.slots}) == 24
        assert all(0.0 < slot.probability <= 1.0 for slot in slate.slots)


def test_an_explanation_adds_up_and_names_the_blend() -> None:
    snapshot = with_signals(random_snapshot(300, 30, 60, seed=5), 5)
    ranker = feed.prepare(snapshot, feed.initial_policy(LEARNED), of_sizes(24, 48, 24))
    record = explaining.recorded(ranker, explaining.page(), 11, [event(int(snapshot.videos.id[9]), 1.0)])
    explained, again = explaining.explained(ranker, record)
    assert again.identical
    judge = explaining.Judge(ranker, record, again)
    for told, slot in zip(explained.slots, again.slate.slots, strict=True):
        judge.look_at(told, slot)
    videos = [told for told in explained.slots if told.item.type == "resume" and not told.explored]
    assert len(videos) > 10
    for told in videos:
        assert told.score is not None
        assert told.score.total == pytest.approx(told.score.score, abs=1e-9)
        assert [share.feature for share in told.score.features][-2:] == ["blend", "posterior_mean"]
    for pool in ("VMP", "AU", "NU"):
        counted = explained.pools[pool]
        assert counted.removed["retrieval"] > 0
        assert counted.shortlist <= counted.candidates <= (48 if pool == "AU" else 24)


def test_a_draw_among_none_is_refused() -> None:
    snapshot = with_signals(random_snapshot(10, 2, 3, seed=1), 1)
    with pytest.raises(PolicyError, match="draws among 0"):
        feed.prepare(
            snapshot, feed.initial_policy(LEARNED), replace(LEARNED, popular=replace(LEARNED.popular, among=0))
        )


def test_without_signals_the_preset_says_what_to_do() -> None:
    with pytest.raises(SnapshotError, match="talentfeed build"):
        feed.prepare(random_snapshot(10, 2, 3, seed=1), feed.initial_policy(LEARNED), LEARNED)


def test_a_bandit_of_classic_is_refused() -> None:
    snapshot = with_signals(random_snapshot(10, 2, 3, seed=1), 1)
    with pytest.raises(PolicyError, match="18 features"):
        feed.prepare(snapshot, feed.initial_policy(), LEARNED)


@pytest.mark.parametrize("damage", ["neighbour", "event_video", "factors", "gram", "event_start", "items"])
def test_signals_that_do_not_fit_are_refused_before_anything_reads_by_them(damage: str) -> None:
    snapshot = with_signals(random_snapshot(40, 2, 9, seed=1), 1)
    assert snapshot.signals is not None
    array = np.array(getattr(snapshot.signals, damage))
    if damage in ("neighbour", "event_video"):
        array.flat[-1] = 40
    elif damage == "event_start":
        array[-1] += 1
    else:
        array.flat[0] = np.nan
    changed: dict[str, Any] = {damage: array}
    damaged = replace(snapshot, signals=replace(snapshot.signals, **changed))
    with pytest.raises(SnapshotError, match=damage):
        feed.prepare(damaged, feed.initial_policy(LEARNED), LEARNED)


def test_evidence_of_another_snapshot_is_refused() -> None:
    snapshot = with_signals(random_snapshot(40, 2, 9, seed=1), 1)
    ranker = feed.prepare(snapshot, feed.initial_policy(LEARNED), LEARNED)
    who = msgspec.structs.replace(viewers.read(snapshot, 1), evidence=np.array([40], np.int32))
    with pytest.raises(RequestMisfitError, match="evidence"):
        feed.rank(ranker, who, ask(), now=NOW, seed=1)


def test_presets_start_as_they_say() -> None:
    weights = LearnedWeights(start={"blend": 0.5}, trust=7.0, retrieved={})
    derived = linucb.derive(learned.initial(weights))
    assert dict(zip(learned.NAMES, derived.theta, strict=True))["blend"] == pytest.approx(0.5)
    assert derived.inverse[0, 0] == pytest.approx(1 / 7)
