"""Fold-in, co-views and the blend against slow references and on made circles of viewers."""

from dataclasses import replace

import numpy as np
import pytest
from tests.learning.made import CLOCK, USERS, VIDEOS, two_circles
from tests.reference import learned as reference

from talentfeed.contracts import HISTORY, Floats, Ints
from talentfeed.errors import LogError
from talentfeed.evidence import ITEM_SIGNALS, PROFILE_PRIOR, SUITING, TASTE_PRIOR, VIEWER_SIGNALS, Blend, Signals
from talentfeed.learning import blend, retrieval
from talentfeed.snapshot import signals as built

LOG = two_circles()


@pytest.fixture(scope="module")
def signals() -> Signals:
    return built.build(LOG, USERS, VIDEOS, clock=CLOCK)


def blended(signals: Signals, weights: Blend, seen: Ints) -> Floats:
    return np.array(reference.likely(replace(signals, blend=weights), seen.tolist(), np.zeros((VIDEOS, 18)).tolist()))


def rows(*videos: int) -> Ints:
    return np.array(videos, np.int64)


def test_fold_in_minimises_what_als_minimises(signals: Signals) -> None:
    seen = rows(3, 40, 7)
    found = retrieval.fold_in(signals, seen)
    y = signals.factors.astype(np.float64)
    confidence = np.ones(VIDEOS)
    confidence[seen] = signals.confidence
    wanted = np.zeros(VIDEOS)
    wanted[seen] = 1.0

    def loss(x: Floats) -> float:
        return float(confidence @ (wanted - y @ x) ** 2 + built.RIDGE * x @ x)

    rng = np.random.default_rng(0)
    least = loss(found)
    assert all(loss(found + 1e-3 * rng.normal(size=len(found))) > least for _ in range(50))


def test_a_viewer_of_one_circle_is_nearer_to_its_videos(signals: Signals) -> None:
    user, video = built.newest(LOG.user, LOG.video, HISTORY)
    one = retrieval.fold_in(signals, video[user == 5].astype(np.int64))
    likeness = signals.factors @ one
    assert likeness[:30].mean() > 1.3 * likeness[30:].mean()


def test_a_co_view_is_the_fading_mean_of_closeness_with_a_stand_in_for_the_far_ones(signals: Signals) -> None:
    near = np.zeros((VIDEOS, VIDEOS))
    near[np.arange(VIDEOS)[:, None], signals.neighbour] = signals.closeness
    held = np.zeros((VIDEOS, VIDEOS), np.bool_)
    held[np.arange(VIDEOS)[:, None], signals.neighbour] = True
    full = np.where(held, near, signals.apart)
    weights = np.array([1.0, 0.5 ** (1 / 5), 0.5 ** (2 / 5)])
    expected = weights @ full[[3, 40, 7]] / weights.sum()
    assert retrieval.co_view(signals, rows(3, 40, 7)) == pytest.approx(expected, rel=1e-5)


def test_the_viewer_s_part_grows_with_what_is_known_of_the_viewer(signals: Signals) -> None:
    one = retrieval.viewer_columns(signals, rows(3))
    raw = signals.factors @ retrieval.fold_in(signals, rows(3)).astype(np.float32)
    assert one[0] == pytest.approx(raw / 3, rel=1e-5)
    none = retrieval.viewer_columns(signals, rows())
    assert np.ptp(none, axis=1).tolist() == [0, 0]


def test_without_a_history_the_cold_weights_rank() -> None:
    signals = built.build(LOG, USERS, VIDEOS, clock=CLOCK)
    weights = Blend(
        warm=dict.fromkeys((*ITEM_SIGNALS, *VIEWER_SIGNALS), 0.0),
        cold={**dict.fromkeys(ITEM_SIGNALS, 0.0), "popularity_3d": 2.0},
        warm_level=0.0,
        cold_level=0.0,
        profile=dict.fromkeys(SUITING, 0.0),
    )
    assert blended(signals, weights, rows()) == pytest.approx(2.0 * signals.items[:, 1])
    assert not blended(signals, weights, rows(1, 2)).any()


def fitted(signals: Signals, seed: int = 0) -> Blend:
    later = two_circles(seed=1, rows=600)
    user, video = built.newest(LOG.user, LOG.video, HISTORY)
    events = {u: video[user == u].astype(np.int64) for u in range(USERS)}
    liked = {
        u: np.setdiff1d(later.video[(later.user == u) & (later.reward > 0)], events[u]).astype(np.int64)
        for u in range(USERS)
    }
    return blend.fit(
        signals.items, lambda u: retrieval.viewer_columns(signals, events[u]), liked, events.__getitem__, seed=seed
    )


def test_what_fits_ranks_a_viewer_s_own_circle_first(signals: Signals) -> None:
    weights = fitted(signals)
    user, video = built.newest(LOG.user, LOG.video, HISTORY)
    own = [blended(signals, weights, video[user == u].astype(np.int64)) for u in (5, 100)]
    assert np.mean(np.argsort(-own[0])[:12] < 30) > 0.8
    assert np.mean(np.argsort(-own[1])[:12] >= 30) > 0.8


def profiled(seed: int, users: int, *, worth: tuple[float, float]) -> Blend:
    """Users who differ in how much they like at all, and like by two columns of their own, of these weights."""
    rng = np.random.default_rng(seed)
    columns = rng.random((users, VIDEOS, 2)) * rng.random((users, 1, 1))  # some find more that suits them
    odds = columns @ np.array(worth) + rng.normal(-4, 1, (users, 1))
    liked = {u: np.flatnonzero(rng.random(VIDEOS) < 1 / (1 + np.exp(-odds[u]))) for u in range(users)}
    return blend.fit(
        np.zeros((VIDEOS, len(ITEM_SIGNALS))),
        lambda _: np.zeros((len(VIEWER_SIGNALS), VIDEOS)),
        liked,
        lambda _: rows(),
        by_taste=lambda u, videos: columns[u, videos] if u % 2 else None,
        by_profile=lambda u, videos: columns[u, videos],
    )


def test_what_suits_a_viewer_weighs_what_it_was_worth() -> None:
    found = profiled(0, 4_000, worth=(1.5, 4.0))
    assert [*found.profile.values()] == pytest.approx([1.5, 4.0], abs=0.25)
    assert [*found.taste.values()] == pytest.approx([1.5, 4.0], abs=0.35)


def test_one_who_liked_moves_the_prior_a_part_of_the_way() -> None:
    found = profiled(5, 1, worth=(-5.0, 9.0))
    assert -5.0 < found.profile["skill_similarity"] < PROFILE_PRIOR["skill_similarity"]
    assert PROFILE_PRIOR["extended_match"] < found.profile["extended_match"] < 9.0


def test_where_nobody_has_a_profile_the_prior_stays(signals: Signals) -> None:
    found = fitted(signals)
    assert (found.profile, found.taste) == (dict(PROFILE_PRIOR), dict(TASTE_PRIOR))
    assert (found.profile_level, found.taste_level) == (0.0, 0.0)


def test_the_same_seed_fits_the_same_weights(signals: Signals) -> None:
    assert fitted(signals) == fitted(signals)
    assert fitted(signals) != fitted(signals, seed=1)


def test_nothing_liked_is_nothing_to_fit_on(signals: Signals) -> None:
    with pytest.raises(LogError, match="nothing was liked"):
        blend.fit(signals.items, lambda _: np.zeros((2, VIDEOS)), {1: rows()}, lambda _: rows())


def test_a_logistic_regression_finds_the_weights_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(40_000, 2)), np.full((40_000, 1), 7.0)], axis=1)
    x[:, 1] += 3.0  # a constant is told apart from a column's mean
    y = rng.random(40_000) < 1 / (1 + np.exp(1.0 - x @ [2.0, -0.5, 0.0]))
    weights, level = blend.logistic(x, y.astype(np.float64))
    assert weights.tolist() == pytest.approx([2.0, -0.5, 0.0], abs=0.06)
    assert level == pytest.approx(-1.0, abs=0.1)


def test_a_logistic_regression_of_what_can_be_told_apart_stays_finite() -> None:
    x = np.array([[0.0], [0.0], [1.0], [1.0]])
    weights, level = blend.logistic(x, np.array([0.0, 0.0, 1.0, 1.0]))
    assert np.isfinite([*weights, level]).all()
    assert weights[0] > 1


def test_the_blend_s_probabilities_are_shares_of_what_it_was_fitted_on(signals: Signals) -> None:
    found = fitted(signals)
    for weights, level in ((found.warm, found.warm_level), (found.cold, found.cold_level)):
        assert set(weights) >= set(ITEM_SIGNALS)
        assert level < 0  # one was liked for each 30 drawn, less what of these was shown
    user, video = built.newest(LOG.user, LOG.video, HISTORY)
    columns = np.concatenate(
        [
            np.concatenate([signals.items.T, retrieval.viewer_columns(signals, video[user == u].astype(np.int64))])
            for u in range(USERS)
        ],
        axis=1,
    )
    odds = found.warm_level + np.array([*found.warm.values()]) @ columns
    cold = found.cold_level + np.array([*found.cold.values()]) @ columns[: len(ITEM_SIGNALS)]
    for each in (odds, cold):
        assert 0.005 < np.mean(1 / (1 + np.exp(-each))) < 0.2
