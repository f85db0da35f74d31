"""The search for a pool's best returns what a full scan returns, to the bit, for any policy and at awkward shapes."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ranking import strategies
from tests.ranking.factory import NOW, make_snapshot, random_snapshot, user, video
from tests.ranking.test_slate import ask

from talentfeed.contracts import BanditState, Event, Floats, Policy, Pool, Snapshot
from talentfeed.ranking import board, features, feed, linucb, scoring
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.presets import PoolWeights, preset

CLASSIC = preset("classic")
many = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    """Catalogues of tens of videos are searched as those of a million are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(board, "WHOLE", -1)
        patch.setattr(board, "FIRST", 7)
        yield


def full_scan(ranker: feed.Ranker, moment: scoring.Moment, out: np.ndarray, sizes: list[int]) -> list[list[float]]:
    """Rows and scores by sorting every candidate of every pool."""
    boards = ranker.boards
    scores = boards.everything(moment)
    new = ranker.skills.ground.flags(ranker.calendar.new(moment.now), np.arange(len(ranker.catalogue.dated))) > 0
    gate = np.asarray(ranker.snapshot.videos.features)[:, 12] > 0
    allowed = {Pool.POPULAR: gate, Pool.AFFINITY: np.ones_like(gate), Pool.FRESH: new}
    found = []
    for pool, size in zip(boards.pools, sizes, strict=True):
        rows = np.flatnonzero(allowed[pool] & ~out).tolist()
        best = sorted(rows, key=lambda row, s=scores[pool]: (-s[row], row))[:size]  # type: ignore[misc]
        found.append([*best, *scores[pool][best].tolist()])
    return found


def assert_exact(
    snapshot: Snapshot, policy: Policy, *, now: float, seed: int, user_id: int, out: np.ndarray, sizes: list[int]
) -> None:
    ranker = feed.prepare(snapshot, policy, CLASSIC)
    viewer = viewers.read(snapshot, user_id)
    moment = ranker.boards.moment(features.Taste.of(ranker.catalogue, viewer), seed, now)
    want = full_scan(ranker, moment, out, sizes)
    for prune in (True, False):
        got = ranker.boards.best(moment, out, sizes, prune=prune)
        assert [[*rows.tolist(), *scores.tolist()] for rows, scores in got] == want


@many
@given(
    data=st.data(),
    snapshot=strategies.snapshots(),
    policy=strategies.policies(),
    now=st.sampled_from([NOW, NOW + 86_400 * 40, NOW + 86_400 * 4_000, NOW - 86_400 * 3, 0.0]),
    sizes=st.lists(st.sampled_from([1, 2, 5, 200]), min_size=3, max_size=3),
)
def test_the_best_are_those_of_a_full_scan(
    data: st.DataObject, snapshot: Snapshot, policy: Policy, now: float, sizes: list[int]
) -> None:
    n = len(snapshot.videos.id)
    out = np.zeros(n, np.bool_)
    out[data.draw(st.lists(st.integers(0, n - 1), max_size=n)) if n else []] = True
    seed = data.draw(st.integers(0, 2**128 - 1))
    assert_exact(snapshot, policy, now=now, seed=seed, user_id=strategies.VIEWER, out=out, sizes=sizes)


def policy_of(state: BanditState) -> Policy:
    return Policy(version="one for all", bandits=dict.fromkeys(feed.LEARNING, state))


def states() -> list[BanditState]:
    """Nothing known, much known, all weights negative, great width, features and rewards out of all measure."""
    rng = np.random.default_rng(5)
    ordinary = rng.uniform(0, 1, (400, 18))
    wild = rng.uniform(-100, 100, (200, 18))
    return [
        linucb.initial(),
        linucb.update_many(linucb.initial(), ordinary, ordinary @ rng.normal(0, 0.3, 18)),
        linucb.update_many(linucb.initial(), ordinary, -ordinary.sum(axis=1)),
        linucb.update_many(linucb.initial(), ordinary[:5], np.full(5, 100.0)),
        linucb.update_many(linucb.initial(), wild, rng.uniform(-100, 100, 200)),
    ]


@pytest.mark.parametrize("number", range(5))
def test_a_larger_catalogue_is_searched_exactly_under_any_policy(number: int) -> None:
    snapshot = random_snapshot(n_videos=1_500, n_users=300, seed=number)
    rng = np.random.default_rng(number)
    for user_id in (1, 2, 150, 9_999):
        for share in (0.0, 0.3, 0.99):
            out = rng.random(1_500) < share
            assert_exact(
                snapshot,
                policy_of(states()[number]),
                now=NOW + 86_400.0 * user_id,
                seed=user_id,
                user_id=user_id,
                out=out,
                sizes=[22, 17, 19],
            )


def test_equal_scores_are_told_apart_by_row_alone() -> None:
    flat = PoolWeights(size=5)
    alike = [video(i, creator=i, age_days=1.0, rating=4.0, views=30) for i in range(1, 200)]
    snapshot = make_snapshot(alike, users=[user(7)])
    weights = replace(CLASSIC, popular=flat, affinity=flat, fresh=flat, feature_noise=0.0)
    boards = feed.prepare(snapshot, feed.initial_policy(), weights).boards
    moment = boards.moment(features.Taste.of(boards.catalogue, viewers.read(snapshot, 7)), 1, NOW)
    out = np.zeros(199, np.bool_)
    out[:3] = True
    for rows, scores in boards.best(moment, out, [5, 5, 5]):
        assert rows.tolist() == [3, 4, 5, 6, 7]
        assert len(set(scores.tolist())) == 1


@many
@given(data=st.data(), snapshot=strategies.snapshots(), policy=strategies.policies(), events=strategies.events())
def test_the_slate_is_the_same_with_and_without_pruning(
    data: st.DataObject, snapshot: Snapshot, policy: Policy, events: list[Event]
) -> None:
    asked = data.draw(strategies.asked(snapshot))
    ranker = feed.prepare(snapshot, policy, CLASSIC, epsilon=asked.epsilon)
    viewer = viewers.read(snapshot, strategies.VIEWER, events)
    slates = [
        feed.rank(ranker, viewer, asked.request, now=NOW, seed=asked.seed, prune=prune) for prune in (True, False)
    ]
    assert slates[0] == slates[1]


def test_most_of_a_catalogue_is_never_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = random_snapshot(n_videos=20_000, n_users=50, seed=1)
    monkeypatch.setattr(board, "FIRST", 512)
    ranker = feed.prepare(snapshot, feed.initial_policy(), CLASSIC)
    looked: list[int] = []

    def count(facts: features.Facts, *rest: object) -> tuple[Floats, np.ndarray]:
        looked.append(facts.rows.size)
        return scoring.score(facts, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(board, "score", count)
    feed.rank(ranker, viewers.read(snapshot, 1), ask(), now=NOW, seed=1)
    assert sum(looked) < 20_000, "of three pools of 20,000"


@pytest.mark.parametrize("even", [True, False])
def test_a_score_has_the_same_bits_whatever_stands_beside_it(even: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_even", even)
    snapshot = random_snapshot(n_videos=700, n_users=50, seed=6)
    ranker = feed.prepare(snapshot, policy_of(states()[1]), CLASSIC)
    moment = ranker.boards.moment(features.Taste.of(ranker.catalogue, viewers.read(snapshot, 3)), 77, NOW)
    rng = np.random.default_rng(0)
    for held in ranker.boards.boards:
        facts = ranker.catalogue.facts(held.rows)
        whole, _ = scoring.score(facts, held.fixed, held.weights, moment)
        for _ in range(40):
            first = int(rng.integers(700))
            span = slice(first, first + int(rng.integers(1, 600)))
            fixed = scoring.Fixed(held.fixed.base[:, span], held.fixed.width[:, span], held.fixed.cross[:, :, span])
            part, _ = scoring.score(facts.part(span), fixed, held.weights, moment)
            assert np.array_equal(part[0], whole[0, span])
