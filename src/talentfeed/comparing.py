"""What changed policies would have earned on the feeds that were served: from Redis and the snapshots to a report."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed.activity import feeds_kept
from talentfeed.connections import away, opened
from talentfeed.contracts import Policy
from talentfeed.errors import PolicyError
from talentfeed.learning.increments import Judged
from talentfeed.learning.learner import JUDGED
from talentfeed.learning.policies import Policies
from talentfeed.ranking.presets import PRESETS, Preset, preset
from talentfeed.ranking.record import VersionGoneError
from talentfeed.settings import Settings
from talentfeed.snapshot import store

if TYPE_CHECKING:
    from talentfeed.learning import compare as comparing


async def compare(
    settings: Settings,
    redis: Redis,
    written: Sequence[str],
    *,
    feeds: int,
    seed: int = 0,
    progress: Callable[[str, float], None] = lambda _, __: None,
) -> dict[str, Any]:
    """Judge policies, as they are written, on the newest feeds whose rewards are known. In a thread.

    Raises LogError, StoreUnavailableError.
    """
    from talentfeed.learning import compare as comparing

    changes = [comparing.parse(text) for text in written]
    try:
        stored: Any = await redis.lrange(JUDGED, -feeds, -1)
        served, unreadable = _served(stored)
        known = await _policies(redis, served, changes)
    except (RedisError, OSError) as error:
        raise away(error) from error

    def policy(version: str, chosen: Preset) -> Policy:
        found = known.get((version, chosen.name))
        if found is None:
            raise VersionGoneError(f"policy {version} is not kept any more")
        return found

    found = await asyncio.to_thread(
        comparing.compare,
        served,
        changes,
        load=lambda version: store.load(settings.snapshot_dir, version),
        policy=policy,
        seed=seed,
        progress=progress,
    )
    skipped = dict(found.skipped) | ({"cannot be read": unreadable} if unreadable else {})
    judged = {name: dataclasses.asdict(one) for name, one in found.policies.items()}
    more = {
        name: {estimate: dataclasses.asdict(value) for estimate, value in one.items()}
        for name, one in found.differences.items()
    }
    return {"feeds": found.feeds, "skipped": skipped, "seed": seed, "policies": judged, "differences": more}


def _served(stored: Sequence[bytes]) -> "tuple[list[comparing.Served], int]":
    """→ the feeds, and how many cannot be read."""
    from talentfeed.learning import compare as comparing

    found = []
    for payload in stored:
        with contextlib.suppress(msgspec.MsgspecError, VersionGoneError):
            one = msgspec.msgpack.decode(payload, type=Judged)
            record = feeds_kept.decode(one.record)
            if len(one.reward) == len(record.slots):
                found.append(comparing.Served(record=record, reward=np.array(one.reward, np.float64)))
    return found, len(stored) - len(found)


async def _policies(
    redis: Redis, served: "Sequence[comparing.Served]", changes: "Sequence[comparing.Change]"
) -> dict[tuple[str, str], Policy]:
    """By version and preset, those that are kept and fit."""
    versions = {one.record.policy for one in served} | {change.policy for change in changes if change.policy}
    presets = {one.record.preset for one in served} | {change.preset for change in changes if change.preset}
    found: dict[tuple[str, str], Policy] = {}
    for name in presets & set(PRESETS):
        policies = Policies(redis, preset(name))
        for version in versions:
            with contextlib.suppress(PolicyError):
                found[version, name] = await policies.policy(version)
    return found


def compare_once(
    settings: Settings, written: Sequence[str], *, feeds: int, seed: int, progress: Callable[[str, float], None]
) -> dict[str, Any]:
    """As `compare`, on the configured Redis."""

    async def run() -> dict[str, Any]:
        async with opened(settings) as stores:
            return await compare(settings, stores.redis, written, feeds=feeds, seed=seed, progress=progress)

    return asyncio.run(run())
