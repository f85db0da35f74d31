"""Policies in play on small made blocks."""

from dataclasses import replace

import numpy as np
import pytest
from tests.ranking.factory import NOW, make_snapshot, video

from talentfeed.contracts import NO_DATE, Floats, Ints, Policy, Pool
from talentfeed.errors import LeakError
from talentfeed.evaluation import simulation
from talentfeed.evaluation.kernel_player import REFRESH, KernelPlayer
from talentfeed.evaluation.simulation import Game, Played, explored, outcome, play
from talentfeed.evidence import Interactions
from talentfeed.ranking.feed import Ranker, initial_policy, prepare
from talentfeed.ranking.presets import preset
from talentfeed.snapshot import signals

USERS, VIDEOS = 40, 120


def block(seed: int = 0) -> Game:
    """Some videos are liked by most, others by hardly anybody."""
    rng = np.random.default_rng(seed)
    return Game(likes=rng.random((USERS, VIDEOS)) < np.linspace(0.02, 0.7, VIDEOS), epsilon=0.02)


def test_the_game_asks_as_often_as_it_is_described() -> None:
    assert Game(likes=np.zeros((705, 3), np.bool_), epsilon=0.0).requests == 1_250


def test_nobody_is_shown_a_video_twice_and_the_reward_is_the_block_s() -> None:
    game = block()
    shown: dict[int, set[int]] = {}

    class Watcher(simulation.Random):
        def learn(self, user: int, rows: Ints, rewards: Floats, /) -> None:
            before = shown.setdefault(user, set())
            assert not before & set(rows.tolist())
            assert rewards.tolist() == game.likes[user, rows].tolist()
            before |= set(rows.tolist())

    played = play(game, lambda seed: Watcher(VIDEOS, seed), 3, explores=True)
    assert sum(len(rows) for rows in shown.values()) == 24 * game.requests
    assert played.coverage == 1.0


def test_all_policies_meet_the_same_users_in_the_same_order() -> None:
    asked: dict[str, list[int]] = {"one": [], "other": []}

    def watching(name: str) -> simulation.Random:
        class Watcher(simulation.Random):
            def learn(self, user: int, _rows: Ints, _rewards: Floats, /) -> None:
                asked[name].append(user)

        return Watcher(VIDEOS, 0)

    play(block(), lambda _: watching("one"), 5, explores=True)
    play(block(), lambda _: watching("other"), 5, explores=False)
    assert asked["one"] == asked["other"]


def test_the_oracle_is_above_the_popular_and_the_random_below() -> None:
    game = block()
    order = np.linspace(0.0, 0.9, VIDEOS)
    rewards = {
        "random": play(game, lambda seed: simulation.Random(VIDEOS, seed), 1, explores=False).rewards.mean(),
        "popular": play(game, lambda _: simulation.Fixed(order), 1, explores=False).rewards.mean(),
        "oracle": play(game, lambda _: simulation.Oracle(game.likes, order), 1, explores=False).rewards.mean(),
    }
    assert rewards["random"] < 0.45 < rewards["popular"] < rewards["oracle"]


def learned(popularity: Floats, seen: list[Policy] | None = None) -> KernelPlayer:
    """The kernel under `learned`, where training told how often each video was liked and nothing of the users."""
    known = make_snapshot(videos=[video(n, creator=None, age_days=90.0) for n in range(1, VIDEOS + 1)])
    times = popularity.astype(np.int64)
    log = Interactions(
        user=np.arange(times.sum(), dtype=np.int32),
        video=np.repeat(np.arange(VIDEOS, dtype=np.int32), times),
        at=np.full(times.sum(), NO_DATE),
        reward=np.ones(times.sum()),
    )
    found = signals.build(log, len(log.user), VIDEOS, clock=NOW)
    nobody = np.zeros(len(known.users.id) + 1, np.int64)
    known = replace(known, signals=replace(found, event_start=nobody, event_video=found.event_video[:0]))
    chosen = preset("learned")

    def prepared(policy: Policy, before: Ranker | None) -> Ranker:
        if seen is not None:
            seen.append(policy)
        return prepare(known, policy, chosen, before=before)

    return KernelPlayer(
        prepared,
        initial_policy(chosen),
        users=np.arange(1, USERS + 1),
        videos=np.arange(1, VIDEOS + 1),
        pattern=(Pool.AFFINITY,),
        now=NOW,
        seed=1,
    )


def test_the_learned_policy_finds_out_what_training_did_not_tell() -> None:
    game = block()
    wrong = np.random.default_rng(1).permutation(np.linspace(1.0, 50.0, VIDEOS))
    still = play(game, lambda _: simulation.Fixed(wrong / 100), 2, explores=True).rewards.mean()
    learning = play(game, lambda _: learned(wrong), 2, explores=True).rewards.mean()
    assert learning > 1.05 * still


def test_the_learned_kernel_counts_what_it_shows_and_learns_by_one_bandit() -> None:
    policies: list[Policy] = []
    player = learned(np.ones(VIDEOS), policies)
    for turn in range(REFRESH):
        player.scores(turn % 2, turn)
        player.learn(turn % 2, np.array([turn, 119 - turn]), np.array([1.0, 0.0]))
    first, last = policies
    assert first.counts is None
    assert last.counts is not None
    assert last.counts.shown[:REFRESH].tolist() == last.counts.rewarded[:REFRESH].tolist() == [1.0] * REFRESH
    assert (last.counts.shown.sum(), last.counts.rewarded.sum()) == (2 * REFRESH, REFRESH)
    assert {pool: bandit.rewards for pool, bandit in last.bandits.items()} == {Pool.AFFINITY: 2 * REFRESH}


def test_the_classic_kernel_learns_in_play_from_features_as_served() -> None:
    known = make_snapshot(
        videos=[video(n, creator=None, skills=["a" if n % 2 else "b"], age_days=90.0, views=n) for n in range(1, 61)]
    )
    made: list[int] = []

    def prepared(policy: Policy, before: Ranker | None) -> Ranker:
        made.append(policy.bandits[Pool.AFFINITY].rewards)
        return prepare(known, policy, preset("classic"), before=before)

    player = KernelPlayer(
        prepared,
        initial_policy(),
        users=np.arange(1, 4),
        videos=np.arange(1, 61),
        pattern=(Pool.AFFINITY,),
        now=NOW,
        seed=1,
    )
    before = player.scores(0, 0)
    assert before.shape == (60,)
    for turn in range(REFRESH):
        player.scores(turn % 2, turn)
        rows = np.array([2 * turn, 2 * turn + 1])  # ids 2 turn + 1 and 2 turn + 2: skills a and b
        player.learn(turn % 2, rows, np.array([1.0, 0.0]))
    assert made == [0, 2 * REFRESH]
    after = player.scores(0, 0)
    odd = np.arange(60) % 2 == 0
    assert (after - before)[odd][15:].mean() > (after - before)[~odd][15:].mean()


def test_the_product_is_served_under_its_rules_and_each_pool_teaches_its_bandit() -> None:
    """120 videos, of which the block has 60: the others are never shown. No creators, all old: rule 5 gives way."""
    known = make_snapshot(
        videos=[
            video(n, creator=None, skills=[f"skill {n % 50}"], age_days=90.0, views=30, rating_count=3)
            for n in range(1, 121)
        ]
    )
    policies: list[Policy] = []

    def prepared(policy: Policy, before: Ranker | None) -> Ranker:
        policies.append(policy)
        return prepare(known, policy, preset("classic"), before=before)

    def make(seed: int) -> KernelPlayer:
        pattern = (Pool.POPULAR, Pool.AFFINITY, Pool.FRESH, Pool.FLOW)
        ids = np.arange(2, 122, 2)
        return KernelPlayer(prepared, initial_policy(), users=ids, videos=ids, pattern=pattern, now=NOW, seed=seed)

    likes = np.random.default_rng(1).random((60, 60)) < 0.5
    played = play(Game(likes=likes, epsilon=0.02), make, 1, explores=True, pages=True)
    assert played.rewards.mean() == pytest.approx(0.5, abs=0.1)
    rewards = {pool: state.rewards for pool, state in policies[-1].bandits.items()}
    assert rewards[Pool.AFFINITY] > rewards[Pool.POPULAR] > 0  # a place for flows falls through to affinity
    places = 24 * REFRESH * (len(policies) - 1)
    assert rewards[Pool.POPULAR] + rewards[Pool.AFFINITY] < places + 2 * rewards[Pool.FRESH]


def test_a_page_with_what_was_shown_before_is_a_leak() -> None:
    class Again(simulation.Random):
        def page(self, _user: int, _turn: int, _shown: Ints, /) -> Ints:
            return np.arange(24)

    with pytest.raises(LeakError, match="was shown"):
        play(block(), lambda _: Again(VIDEOS, 0), 1, explores=False, pages=True)


def test_a_slot_is_drawn_uniformly_by_its_share_and_never_twice() -> None:
    rng = np.random.default_rng(0)
    free = np.ones(100, np.bool_)
    page = np.arange(24)
    assert explored(page, free, 0.0, rng).tolist() == page.tolist()
    drawn = [explored(page, free, 0.5, rng) for _ in range(400)]
    assert all(len(set(one.tolist())) == 24 for one in drawn)
    others = np.mean([np.mean(one >= 24) for one in drawn])
    assert others == pytest.approx(0.5 * 80 / 100, abs=0.04)


def test_an_outcome_is_means_over_seeds() -> None:
    one = Played(rewards=np.array([0.0] * 2 + [0.5] * 8 + [1.0] * 2), coverage=0.2)
    other = Played(rewards=np.full(12, 0.5), coverage=0.4)
    found = outcome([one, other])
    assert (found.reward, found.first_sixth, found.last_sixth) == (0.5, 0.25, 0.75)
    assert found.coverage == pytest.approx(0.3)
    assert found.spread == 0.0
    assert list(found.by_seed) == [0.5, 0.5]
