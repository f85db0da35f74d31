"""Writes down what the learner needs of a feed that went out: what its items were ranked by. docs/learning.md"""

import asyncio
import logging
import uuid
from collections.abc import Sequence

import numpy as np
from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed import impressions
from talentfeed.activity import answers, codec, packed, scripts
from talentfeed.activity.calls import LineScript
from talentfeed.activity.outbox import ServedFeed
from talentfeed.activity.reading import Line
from talentfeed.contracts import Activity, Floats, Kind, Policy
from talentfeed.impressions import Impressions, Shape
from talentfeed.lookup import rows_of
from talentfeed.ranking import linucb
from talentfeed.ranking.feed import video_features
from talentfeed.ranking.presets import Preset

log = logging.getLogger(__name__)

_POOL_NUMBERS = {pool.value: number for number, pool in enumerate(impressions.POOLS)}
_VIDEO = int(Kind.VIDEO)
_NO_FEATURES = np.zeros((0, 0), np.float32)
LEAST_LIFE = 6 * 3600.0  # seconds that feeds wait for a learner that is away


class ShownLog:
    """One a process, beside its recorder. Only where something is learned: then a feed costs a little more."""

    def __init__(self, redis: Redis, *, window: float, line: Line | None = None) -> None:
        """`window`: seconds after which what a client reports of an impression changes nothing any more. `line`: the
        recorder's."""
        self._script = redis.register_script(scripts.SHOWN) if line is None else LineScript(line, scripts.SHOWN)
        self._drained = f"shown-by:{uuid.uuid4().hex}"
        self._window = window
        self._drains = 0
        self._theta: tuple[Policy, Floats] | None = None
        self._shape: tuple[Preset, Shape] | None = None
        self._away = False
        self.life = max(LEAST_LIFE, 4 * window)
        self.kept = 0  # feeds
        self.lost = 0  # feeds that nothing will be learned from

    async def keep(self, feeds: Sequence[ServedFeed]) -> None:
        """Store these feeds for the learner; until it is done: the number of the drain makes a repeat harmless."""
        names, args, used = self._arguments(feeds)
        refused = used
        try:
            refused = await self._stored(names, args) if used else 0
        except (RedisError, OSError):
            log.exception("Redis refuses %d feeds that were to be learned from", used)
        finally:  # also where a stop does not wait for it
            self.lost += refused
            self.kept += used - refused

    async def _stored(self, names: Sequence[str], args: Sequence[str | bytes | int | float]) -> int:
        """→ how many were refused. Raises what will not pass."""
        pause = 0.05
        while True:
            try:
                answer = int(await self._script(keys=list(names), args=list(args)))
            except (RedisError, OSError) as error:
                if not answers.passes(error):
                    raise
                if not self._away:
                    self._away = True
                    log.warning("Redis does not take impressions (%s); they wait in memory", answers.told(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, 1.0)
            else:
                self._away = False
                return max(answer - 1, 0)

    def _arguments(self, feeds: Sequence[ServedFeed]) -> tuple[list[str], list[str | bytes | int | float], int]:
        self._drains += 1
        names = [self._drained, impressions.WAITING, impressions.COUNTS]
        args: list[str | bytes | int | float] = [self._drains, self._window, self.life]
        used = 0
        for feed in feeds:
            if not feed.items:
                continue  # of what was not shown there is nothing to learn
            if feed.origin is None or feed.viewer is None:
                self.lost += 1
                continue
            try:
                made = self.made(feed)
                body = impressions.encode(made)
                counts = impressions.counts(made, self._shape_of(feed.origin.ranker.preset))
            except Exception:
                log.exception("Feed %s cannot be learned from", feed.feed_id)
                self.lost += 1
                continue
            names.append(impressions.shown(feed.user_id))
            args += (feed.user_id, feed.feed_id, counts, body)
            used += 1
        return names, args, used

    def made(self, feed: ServedFeed) -> Impressions:
        """A feed with the features that its videos were ranked by. It must have its origin and viewer."""
        origin = feed.origin
        assert origin is not None  # noqa: S101 - the caller looked
        assert feed.viewer is not None  # noqa: S101
        ranker, items = origin.ranker, feed.items
        both = np.frombuffer(b"".join([item.packed for item in items]), packed.ITEM)
        kinds, ids = both["kind"].copy(), both["id"].astype(np.int64)
        x = predicted = _NO_FEATURES
        videos = ids[kinds == _VIDEO]
        if len(videos):
            rows, _ = rows_of(ranker.snapshot.videos.id, videos)
            seed = int(feed.feed_id, 16)
            x = video_features(ranker, feed.viewer, rows, now=origin.now, seed=seed).astype(np.float32)
            predicted = impressions.prediction(x, self._thetas(ranker.policy))
        return Impressions(
            user_id=feed.user_id,
            at=feed.at,
            snapshot=ranker.snapshot.manifest.version,
            policy=ranker.policy.version,
            preset=ranker.preset.name,
            kinds=kinds,
            ids=ids,
            pools=np.array([_POOL_NUMBERS[pool] for pool in feed.pools], np.uint8),
            probabilities=np.array(feed.probabilities, np.float32),
            features=x,
            predicted=predicted,
        )

    def _shape_of(self, preset: Preset) -> Shape:
        if self._shape is None or self._shape[0] is not preset:
            self._shape = (preset, impressions.shape_of(preset))
        return self._shape[1]

    def _thetas(self, policy: Policy) -> Floats:
        """(d, bandits)"""
        if self._theta is None or self._theta[0] is not policy:
            derived = [linucb.derive(state).theta for state in policy.bandits.values()]
            self._theta = (policy, np.stack(derived, axis=1))
        return self._theta[1]


def outcome(activity: Activity) -> bytes:
    """A client's event as the learner reads it."""
    assert activity.video_id is not None  # noqa: S101 - clients report of items
    return impressions.line(
        codec.KINDS[activity.item_type],
        activity.video_id,
        activity.event_type,
        value=activity.value,
        watch_ratio=activity.watch_ratio,
        feed_id=activity.feed_id,
    )
