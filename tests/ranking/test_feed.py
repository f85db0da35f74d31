"""The whole kernel: patterns, presets, purity, probabilities."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from tests.ranking.factory import NOW, flow, make_snapshot, random_snapshot, user, video
from tests.ranking.test_slate import ask

from talentfeed.contracts import BanditState, Kind, Policy, Pool, Slate, Snapshot
from talentfeed.errors import PatternError, PolicyError
from talentfeed.ranking import feed, linucb
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.presets import PRESETS, preset

CLASSIC = preset("classic")


def test_the_classic_preset_is_the_table() -> None:
    assert set(PRESETS) == {"classic", "learned"}
    table = {
        Pool.POPULAR: (1.5, 0.8, 110, 220),
        Pool.AFFINITY: (1.8, 1.0, 170, 170),
        Pool.FRESH: (2.5, 1.3, 95, 190),
    }
    for pool, row in table.items():
        weights = CLASSIC.of(pool)
        assert (weights.alpha, weights.beta, weights.size, weights.shortlist) == row
    assert (CLASSIC.flow.noise, CLASSIC.flow.recency, CLASSIC.flow.shortlist) == (40.0, 60.0, 40)
    assert (CLASSIC.epsilon, CLASSIC.feature_noise) == (0.02, 0.3)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(PatternError, match=r"'modern'.*classic"):
        preset("modern")


def test_a_pattern_is_read_in_any_form() -> None:
    want = (Pool.POPULAR, Pool.AFFINITY, Pool.FLOW)
    assert feed.parse_pattern("VMP AU FW") == feed.parse_pattern(" vmp,au , fw\n") == want
    assert feed.pattern_for("total", want) == want
    assert feed.pattern_for("discover", want) == want[:2]
    assert feed.pattern_for("flow", want) == (Pool.FLOW,)


@pytest.mark.parametrize(
    ("text", "names"),
    [("VMP XX YY", "XX, YY.*VMP AU NU FW EXPLORE"), ("", "names no pool of videos"), ("FW FW", "VMP AU NU")],
)
def test_a_wrong_pattern_says_what_is_wrong_and_what_is_known(text: str, names: str) -> None:
    with pytest.raises(PatternError, match=names):
        feed.parse_pattern(text)


def test_an_unknown_endpoint_is_refused() -> None:
    with pytest.raises(PatternError, match=r"'other'.*total, discover, flow"):
        feed.pattern_for("other", (Pool.POPULAR,))


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan")])
def test_epsilon_is_a_share(epsilon: float) -> None:
    with pytest.raises(PolicyError, match="between 0 and 1"):
        feed.prepare(make_snapshot(), feed.initial_policy(), CLASSIC, epsilon=epsilon)


def test_a_policy_without_a_pool_or_with_a_damaged_one_is_refused() -> None:
    initial = feed.initial_policy()
    damaged: dict[Pool, BanditState] = dict(initial.bandits)
    damaged[Pool.FRESH] = linucb.initial(17)
    for bandits in ({Pool.POPULAR: linucb.initial()}, damaged):
        with pytest.raises(PolicyError):
            feed.prepare(make_snapshot([video(1)]), Policy(version="x", bandits=bandits), CLASSIC)


def test_a_feed_is_a_function_of_its_record() -> None:
    snapshot = random_snapshot(n_videos=400, n_users=300, seed=4)
    viewer = viewers.read(snapshot, 3)
    feeds = [
        feed.rank(feed.prepare(snapshot, feed.initial_policy(), CLASSIC), viewer, ask(), now=NOW, seed=seed)
        for seed in (5, 5, 6)
    ]
    assert feeds[0] == feeds[1]
    assert feeds[0].slots != feeds[2].slots


def test_ranking_changes_nothing_it_is_given() -> None:
    snapshot = random_snapshot(n_videos=50, n_users=100, seed=4)
    ranker = feed.prepare(snapshot, feed.initial_policy(), CLASSIC)
    viewer = viewers.read(snapshot, 3)
    first = feed.rank(ranker, viewer, ask(size=60), now=NOW, seed=1)
    for seed in range(20):
        feed.rank(ranker, viewer, ask(size=60), now=NOW + seed * 1e6, seed=seed)
    assert feed.rank(ranker, viewer, ask(size=60), now=NOW, seed=1) == first


def test_what_is_removed_is_counted_by_reason() -> None:
    snapshot = make_snapshot([video(i) for i in range(1, 9)], [flow(1), flow(20)])
    viewer = msgspec.structs.replace(viewers.read(snapshot, 0), seen_videos=np.array([0, 3, 4], np.int32))
    ranker = feed.prepare(snapshot, feed.initial_policy(), CLASSIC)
    request = ask(excluded_ids=np.array([1, 2, 2, 77], np.int64))
    assert feed.rank(ranker, viewer, request, now=NOW, seed=1).removed == {"excluded": 3, "already_seen": 2}


def test_fifty_thousand_exclusions_leave_the_rest() -> None:
    snapshot = random_snapshot(n_videos=300, n_flows=10, n_users=50, seed=1)
    ranker = feed.prepare(snapshot, feed.initial_policy(), CLASSIC)
    kept = 1_000_000 + 7
    many = np.setdiff1d(np.arange(1_000_000, 1_050_000), [kept])
    got = feed.rank(ranker, viewers.read(snapshot, 1), ask("discover", excluded_ids=many), now=NOW, seed=1)
    assert [int(snapshot.videos.id[slot.index]) for slot in got.slots] == [kept]


def small_catalogue() -> Snapshot:
    """Seven videos and three flows with something for every pool."""
    return make_snapshot(
        [
            video(i, creator=i, skills=["ab"[i % 2]], age_days=10.0 * i, rating=4.0, rating_count=i, views=3 * i)
            for i in range(1, 8)
        ],
        [flow(i, creator=i, age_days=10.0 * i) for i in (20, 21, 22)],
        [user(70, skills=["a"])],
    )


@pytest.mark.parametrize("epsilon", [0.0, 0.02, 0.4, 1.0])
def test_draws_come_as_often_as_their_probability_says(epsilon: float) -> None:
    snapshot = small_catalogue()
    ranker = feed.prepare(snapshot, feed.initial_policy(), CLASSIC, epsilon=epsilon)
    viewer = viewers.read(snapshot, 70)
    pattern = (Pool.POPULAR, Pool.AFFINITY, Pool.FRESH, Pool.FLOW, Pool.EXPLORE)
    n = 3_000
    request = ask(size=5, pattern=pattern)
    feeds = [feed.rank(ranker, viewer, request, now=NOW, seed=1, draw_seed=draw) for draw in range(n)]
    checked = 0
    for slot in range(5):
        drawn: dict[tuple[tuple[Kind, int], ...], Counter[tuple[Kind, int]]] = {}
        said: dict[tuple[tuple[Kind, int], ...], dict[tuple[Kind, int], float]] = {}
        for got in feeds:
            before = tuple((s.kind, s.index) for s in got.slots[:slot])
            item = (got.slots[slot].kind, got.slots[slot].index)
            drawn.setdefault(before, Counter())[item] += 1
            known = said.setdefault(before, {}).setdefault(item, got.slots[slot].probability)
            assert known == pytest.approx(got.slots[slot].probability, rel=1e-12), "one choice, two probabilities"
        for before, counts in drawn.items():
            total = counts.total()
            assert sum(said[before].values()) <= 1 + 1e-9
            if total < 300:
                continue
            if len(counts) > 1 or epsilon == 0.0:
                checked += 1
            missing = 1 - sum(said[before].values())
            assert missing < 6 / np.sqrt(total), "choices that never came hold too much probability"
            for item, count in counts.items():
                p = said[before][item]
                assert abs(count / total - p) < 5 * np.sqrt(p * (1 - p) / total) + 1e-9
    assert checked >= 2


def test_all_chance_is_exploration_when_epsilon_is_one() -> None:
    snapshot = make_snapshot([video(i, creator=i) for i in range(1, 8)])
    ranker = feed.prepare(snapshot, feed.initial_policy(), CLASSIC, epsilon=1.0)
    first: Slate = feed.rank(ranker, viewers.read(snapshot, 70), ask("discover", 3), now=NOW, seed=3)
    assert [slot.explored for slot in first.slots] == [True] * 3
    assert [slot.probability for slot in first.slots] == pytest.approx([1 / 7, 1 / 6, 1 / 5])
    assert [slot.planned for slot in first.slots] == [Pool.POPULAR, Pool.AFFINITY, Pool.AFFINITY]
