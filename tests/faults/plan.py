"""A round's plan: what is sent, what dies and when. A seed makes the same plan again."""

import random
from dataclasses import dataclass

SERVICES = ("service-0", "service-1", "service-2")
SERVERS = ("mariadb", "redis", "bastion")
BACKLOG_EVERY = 200  # one round in so many has a backlog
BACKLOG = 200_000  # activities
# with how often each befalls
KINDS = {
    "kill": 40,
    "freeze": 25,
    "freeze in mid-write": 10,
    "full disk": 5,
    "read-only": 5,
    "clock": 10,
    "flush command": 5,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` befalls `target` at `at` seconds into the round and is over `seconds` later."""

    at: float
    kind: str  # one of KINDS
    target: str
    seconds: float
    amount: float = 0.0  # of a clock step: seconds from the right time, until the next step


@dataclass(frozen=True, slots=True)
class Plan:
    """One round."""

    seed: int
    activities: int  # that producers send, about
    seconds: float  # over which they do
    faults: tuple[Fault, ...]
    poison: int  # of the activities, which the database refuses
    junk: int  # stored texts that are no activities
    feeds: int
    backlog: bool = False  # all activities are sent while the database is away


def make(seed: int, *, activities: int = 800) -> Plan:
    """`activities`: of a round, on average."""
    rng = random.Random(seed)
    poison, junk = rng.choice((0, 0, 1, 3)), rng.choice((0, 0, 0, 1))
    if seed % BACKLOG_EVERY == BACKLOG_EVERY - 1:
        faults = tuple(_random(rng, rng.uniform(0.0, 20.0)) for _ in range(4))
        return Plan(seed, BACKLOG, 0.0, tuple(fault for fault in faults if fault.target != "mariadb"), 3, 1, 20, True)
    seconds = rng.uniform(1.0, 3.0)
    faults = tuple(
        sorted(
            (_random(rng, rng.uniform(0.0, seconds)) for _ in range(rng.choice((1, 2, 2, 3, 4)))),
            key=lambda fault: fault.at,
        )
    )
    return Plan(
        seed, rng.randint(activities // 2, activities * 3 // 2), seconds, faults, poison, junk, rng.randint(0, 8)
    )


def _random(rng: random.Random, at: float) -> Fault:
    anything = (rng.choice(SERVICES), *SERVERS)
    (kind,) = rng.choices(tuple(KINDS), weights=tuple(KINDS.values()))
    if kind == "kill":
        return Fault(at, kind, rng.choice(anything), rng.choice((0.0, 0.0, rng.uniform(0.0, 1.5))))
    if kind == "freeze":
        # one is longer than a service waits for the database's answer: it gives up, and the commit comes later
        seconds = rng.uniform(16.0, 17.0) if rng.random() < 0.03 else rng.uniform(0.1, 3.0)
        return Fault(at, kind, rng.choice(anything), seconds)
    if kind == "freeze in mid-write":
        return Fault(at, kind, rng.choice(SERVICES), rng.uniform(0.5, 3.5))
    if kind == "clock":
        return Fault(at, kind, rng.choice((rng.choice(SERVICES), "redis")), 0.0, rng.uniform(-6 * 3600, 6 * 3600))
    if kind == "flush command":  # a flusher more, that dies before it is done or not
        return Fault(at, kind, "flush", rng.choice((rng.uniform(0.5, 2.0), 60.0)))
    return Fault(at, kind, "mariadb", rng.uniform(0.3, 2.0))
