"""Rewards over a game as a picture: one line a policy, in SVG, with nothing but text."""

from collections.abc import Mapping, Sequence

import numpy as np

from talentfeed.contracts import Floats
from talentfeed.evaluation.simulation import Played

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 720, 360, 50, 40, 90, 16
POINTS = 60
_NAME = 13.0  # height of a name
_COLOURS = ("#888888", "#4c78a8", "#f58518", "#2ca02c", "#9467bd")


def smoothed(games: Sequence[Played], points: int = POINTS) -> Floats:
    """Mean reward over all games in so many equal parts of the requests, (points,) or fewer."""
    rewards = np.mean([game.rewards for game in games], axis=0)
    parts = np.array_split(rewards, min(points, len(rewards)))
    return np.array([part.mean() for part in parts])


def svg(lines: Mapping[str, Floats], requests: int) -> str:
    """A line a policy; the first page is on the left, the reward of a place upwards from 0."""
    top = max(0.1, float(np.ceil(10 * max(line.max(initial=0.0) for line in lines.values())) / 10))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for tick in range(6):
        y = TOP + high * (1 - tick / 5)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{top * tick / 5:.2f}</text>')
        x = LEFT + wide * tick / 5
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 22}" text-anchor="middle">{round(requests * tick / 5):,}</text>')
    parts.append(
        f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 6}" text-anchor="middle">pages served; reward of a place</text>'
    )
    ends = _apart([TOP + high * (1 - float(line[-1]) / top) + 4 for line in lines.values()])
    for (name, line), colour, end in zip(lines.items(), _COLOURS, ends, strict=False):
        xs = LEFT + wide * (np.arange(len(line)) + 0.5) / len(line)
        ys = TOP + high * (1 - line / top)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs.tolist(), ys.tolist(), strict=True))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 6}" y="{end:.1f}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _apart(places: Sequence[float]) -> list[float]:
    """The same places in the same order, moved down where two names would stand on one another."""
    found = list(places)
    taken = -float("inf")
    for number in sorted(range(len(places)), key=lambda n: places[n]):
        taken = found[number] = max(places[number], taken + _NAME)
    return found
