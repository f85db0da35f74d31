"""The kernel's pages for judging are those that the kernel ranks."""

import numpy as np
import pytest
from tests.ranking.factory import NOW, make_snapshot, random_snapshot, seen, user, video

from talentfeed.contracts import Ints, Pool, Snapshot
from talentfeed.errors import PatternError
from talentfeed.evaluation.kernel_pages import KernelPages, without_history
from talentfeed.evaluation.protocol import best
from talentfeed.ranking import viewer as viewers
from talentfeed.ranking.feed import initial_policy, prepare
from talentfeed.ranking.presets import preset

NONE: Ints = np.zeros(0, np.int64)


def pages(snapshot: Snapshot, users: Ints, videos: Ints, *, epsilon: float | None = None) -> KernelPages:
    ranker = prepare(snapshot, initial_policy(), preset("classic"), epsilon=epsilon)
    return KernelPages(ranker, users, videos, now=NOW)


def test_rows_are_the_dataset_s_and_what_is_not_servable_is_never_ranked() -> None:
    known = make_snapshot(
        videos=[video(20, skills=["dance"]), video(30, skills=["song"]), video(40, skills=["song"])],
        users=[user(7, history=[seen(20)])],
    )
    kernel = pages(known, np.array([7]), np.array([10, 20, 30]))
    scores = kernel.score(0, Pool.AFFINITY)
    assert np.isneginf(scores).tolist() == [True, False, False]
    assert scores[1] > scores[2]  # the skill that was liked
    assert kernel.pure(Pool.AFFINITY, lambda _: NONE)(0).tolist() == [1, 2]
    assert kernel.pure(Pool.AFFINITY, lambda _: np.array([1]))(0).tolist() == [2]


def test_pure_ranking_is_the_slate_of_the_pool_where_no_rule_bites() -> None:
    # a creator and a skill of its own each, none new: rules 3 to 5 let everything stand
    known = make_snapshot(
        videos=[video(n, creator=None, skills=[f"s{n}"], age_days=90.0 + n, views=n * n) for n in range(1, 61)],
        users=[user(7, skills=["s9", "s30"])],
    )
    ids = np.arange(1, 61)
    kernel = pages(known, np.array([7]), ids, epsilon=0.0)
    out = np.array([3, 4])
    pure = kernel.pure(Pool.AFFINITY, lambda _: out)(0)
    assert kernel.full([Pool.AFFINITY], lambda _: out)(0).tolist() == pure.tolist()
    assert len(pure) == 24


def test_the_full_product_keeps_what_was_shown_out() -> None:
    known = random_snapshot(200, 10, 20, seed=3)
    kernel = pages(known, np.asarray(known.users.id), np.asarray(known.videos.id))
    out = np.arange(100)
    page = kernel.full([Pool.POPULAR, Pool.AFFINITY, Pool.FRESH, Pool.FLOW], lambda _: out)(2)
    assert page.min() >= 100
    assert len(set(page.tolist())) == len(page)


def test_hidden_history_leaves_the_profile() -> None:
    known = make_snapshot(
        videos=[video(20, skills=["dance"]), video(30, skills=["song"])],
        users=[user(7, skills=["song"], history=[seen(20)])],
    )
    hidden = viewers.read(without_history(known), 7)
    assert (hidden.seen_videos.tolist(), hidden.has_skills) == ([], True)
    assert hidden.skills.tolist() != viewers.read(known, 7).skills.tolist()


@pytest.mark.parametrize("pool", [Pool.FLOW, Pool.EXPLORE])
def test_a_pool_of_chance_has_no_pure_ranking(pool: Pool) -> None:
    known = make_snapshot(videos=[video(20)])
    with pytest.raises(PatternError, match="ranks by chance"):
        pages(known, NONE, np.array([20])).pure(pool, lambda _: NONE)


def test_the_best_of_fewer_than_a_page_are_all() -> None:
    assert best(np.array([1.0, 2.0]), NONE).tolist() == [1, 0]
