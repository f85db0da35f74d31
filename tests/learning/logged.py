"""Made logs of feeds and events, as a service leaves them in Redis."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from redis.asyncio import Redis
from tests.reference.learning import Logged

from talentfeed import impressions
from talentfeed.contracts import Kind, Pool
from talentfeed.impressions import Impressions, Outcome
from talentfeed.ranking.presets import preset

SHAPE = impressions.shape_of(preset("classic"))
WINDOW = 600.0
NOW = 1_800_000_000.0
EVENTS = ("video_view", "like", "save", "rating", "match", "share", "skip")


def made_log(
    seed: int, *, feeds: int = 60, users: int = 8, now: float = NOW, past: float = 5_000.0
) -> tuple[list[Logged], list[tuple[int, Outcome]], dict[str, dict[str, int]]]:
    """Feeds in the order in which they were recorded, all of them due by `now`; events, some late, some repeated, some
    of nothing; and the ordinals of each feed."""
    rng = random.Random(seed)
    generator = np.random.default_rng(seed)
    log, events, ordinals = [], [], {}
    last = dict.fromkeys(SHAPE.bandits, 0)
    times = sorted(now - WINDOW - 1.0 - rng.random() * past for _ in range(feeds))
    for number, recorded in enumerate(times):
        n = rng.randint(1, 12)
        kinds = generator.choice([0, 0, 0, 1], n).astype(np.uint8)
        pools = np.array(
            [
                impressions.POOLS.index(
                    rng.choice([Pool.FLOW, Pool.EXPLORE])
                    if kind
                    else rng.choice([Pool.POPULAR, Pool.AFFINITY, Pool.FRESH, Pool.EXPLORE])
                )
                for kind in kinds
            ],
            np.uint8,
        )
        ids = generator.permutation(30)[:n].astype(np.int64)
        videos = int((kinds == 0).sum())
        feed = Impressions(
            user_id=rng.randint(1, users),
            at=recorded,
            snapshot="s",
            policy="p",
            preset="classic",
            kinds=kinds,
            ids=ids,
            pools=pools,
            probabilities=generator.random(n).astype(np.float32),
            features=generator.random((videos, 18)).astype(np.float32),
            predicted=generator.random((videos, 3)).astype(np.float32),
        )
        feed_id = f"{rng.getrandbits(128):032x}"
        for name in impressions.counts(feed, SHAPE).split(","):
            bandit, given = name.split("=")
            last[bandit] += int(given)
        ordinals[feed_id] = dict(last)
        log.append(Logged(feed_id=feed_id, feed=feed, recorded=recorded, due=recorded + WINDOW))
        for _ in range(rng.randint(0, 6)):
            place = rng.randrange(n)
            what = rng.choice(EVENTS)
            event = Outcome(
                at=round(recorded + rng.random() * WINDOW * 1.3, 3),
                kind=Kind(int(kinds[place])),
                item_id=int(ids[place]) if rng.random() < 0.9 else 999,
                event_type=what,
                value=float(rng.randint(1, 5)) if what == "rating" else None,
                watch_ratio=round(rng.random() * 1.5, 3) if what == "video_view" and rng.random() < 0.8 else None,
                feed_id=rng.choice([feed_id, None, None, "f" * 32]),
            )
            events += [(feed.user_id, event)] * rng.choice([1, 1, 2])
        if number % 7 == 0:
            events.append((feed.user_id, Outcome(
                at=now - 1.0, kind=Kind.VIDEO, item_id=int(ids[0]), event_type="match", value=None, watch_ratio=None,
                feed_id=feed_id,
            )))  # fmt: skip
    return log, sorted(events, key=lambda one: one[1].at), ordinals


def stored(one: Logged, last: dict[str, int]) -> bytes:
    """As the list of its user holds it."""
    head = f"{one.feed_id} {one.due:.3f} {','.join(f'{name}={n}' for name, n in last.items())}\n"
    return head.encode() + impressions.encode(one.feed)


def told(events: Sequence[tuple[int, Outcome]], user_id: int) -> bytes:
    return b"".join(
        f"{event.at:.3f} ".encode()
        + impressions.line(
            event.kind,
            event.item_id,
            event.event_type,
            value=event.value,
            watch_ratio=event.watch_ratio,
            feed_id=event.feed_id,
        )
        for user, event in events
        if user == user_id
    )


async def put(
    redis: Redis,
    log: Sequence[Logged],
    events: Sequence[tuple[int, Outcome]],
    ordinals: dict[str, dict[str, int]],
) -> None:
    """The log, as the services wrote it."""
    together: Any = redis.pipeline()
    for one in log:
        user = one.feed.user_id
        together.lpush(impressions.shown(user), stored(one, ordinals[one.feed_id]))
        together.zadd(impressions.WAITING, {str(user): one.due}, nx=True)
    for user in {one.feed.user_id for one in log}:
        together.set(impressions.outcomes(user), told(events, user))
    await together.execute()
