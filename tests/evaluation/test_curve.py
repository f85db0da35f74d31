"""The picture of a game."""

import numpy as np

from talentfeed.evaluation.curve import HEIGHT, RIGHT, TOP, WIDTH, smoothed, svg
from talentfeed.evaluation.simulation import Played


def test_a_curve_is_the_mean_over_games_in_equal_parts() -> None:
    games = [Played(rewards=np.arange(10.0), coverage=0.0), Played(rewards=np.zeros(10), coverage=0.0)]
    assert smoothed(games, 2).tolist() == [1.0, 3.5]
    assert smoothed(games, 60).tolist() == (np.arange(10) / 2).tolist()


def test_a_higher_reward_stands_higher_and_each_line_has_its_name() -> None:
    text = svg({"low": np.array([0.1, 0.1]), "high": np.array([1.0, 1.0])}, 100)
    low, high = (float(part.split(",")[1].split(" ")[0].rstrip('"')) for part in text.split('points="')[1:])
    assert TOP == high < low < HEIGHT
    assert ">low</text>" in text
    assert ">high</text>" in text


def test_names_of_lines_that_end_together_do_not_stand_on_one_another() -> None:
    text = svg({name: np.array([0.5, 0.5]) for name in ("a", "b", "c")}, 10)
    places = sorted(float(part.split('"')[0]) for part in text.split(f'<text x="{WIDTH - RIGHT + 6}" y="')[1:])
    assert np.diff(places).tolist() == [13.0, 13.0]
