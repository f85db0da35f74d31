"""How even a core's speed is: a fixed piece of computing, again and again, half of the time as a server half busy."""

import os
import time
from dataclasses import dataclass

import numpy as np

_NUMBERS = range(20_000)  # their sum takes about as long as ranking a feed
_PAUSE = 0.0004  # seconds, as long again
_SLOW = 3.0  # times the median


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """What the pieces took, in ms, and the share of them that took several times the median."""

    pieces: int
    p50: float
    p99: float
    worst: float
    slow: float


def pulse(*, seconds: float, core: int) -> Pulse:
    """Takes the core for so long; it should be idle, so that what shows is the machine."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        took = _pieces(seconds)
    finally:
        os.sched_setaffinity(0, allowed)
    p50, p99, worst = map(float, np.percentile(took, (50, 99, 100)))
    return Pulse(pieces=len(took), p50=p50, p99=p99, worst=worst, slow=float(np.mean(took > _SLOW * p50)))


def _pieces(seconds: float) -> np.ndarray:
    """ms of each."""
    took = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        took.append(_took() * 1e3)
        time.sleep(_PAUSE)
    return np.asarray(took)


def _took() -> float:
    began = time.perf_counter()
    sum(_NUMBERS)
    return time.perf_counter() - began
