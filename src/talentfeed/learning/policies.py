"""The versions of the policy in Redis: which is learned, which is served, what came before. docs/learning.md."""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from talentfeed.contracts import Policy
from talentfeed.errors import PolicyError
from talentfeed.impressions import Shape, shape_of
from talentfeed.learning import payloads, scripts, sums
from talentfeed.learning.sums import Sums
from talentfeed.ranking.feed import initial_policy
from talentfeed.ranking.learned import names_of
from talentfeed.ranking.linucb import derive
from talentfeed.ranking.presets import Preset

HEAD = "policy"  # hash: number, learned, served, at, forgot_at
STATES = "policy:states"  # hash: version -> its sums
VERSIONS = "policy:versions"  # zset: version -> its number
INCREMENTS = "increments"  # list: what learners have added and nobody folded yet
TALLY = "policy:tally"  # hash: counters since the store began
INITIAL = initial_policy().version
KEPT = 128  # versions
ATTEMPTS = 20  # of an operator's change against the folds of learners
TALLIES = ("impressions", "increments", "folded_increments", "refused_increments", "refused_impressions", "reward")
FORM = 1  # of an exported policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where learning stands."""

    number: int  # rises with each version
    learned: str  # the newest version
    served: str  # what is served where nothing is learned, or learned in the shadow
    at: float | None  # when it was made, seconds UTC
    forgot_at: float | None


class Policies:
    """Reads and makes versions. All errors of the connection go through."""

    def __init__(self, redis: Redis, preset: Preset) -> None:
        self._redis = redis
        self.preset = preset
        self.shape = shape_of(preset)
        self._publish = redis.register_script(scripts.PUBLISH)

    async def head(self) -> Head:
        """Where learning stands. Raises PolicyError where the key holds something else."""
        names = ("number", "learned", "served", "at", "forgot_at")
        found: Any = await _awaited(self._redis.hmget(HEAD, list(names)))
        number, learned, served, at, forgot = (None if value is None else value.decode() for value in found)
        try:
            return Head(
                number=int(number or 0),
                learned=learned or INITIAL,
                served=served or INITIAL,
                at=None if at is None else float(at),
                forgot_at=None if forgot is None else float(forgot),
            )
        except ValueError as error:
            raise PolicyError(f"{HEAD} holds something else than the policy's head: {error}; remove it") from error

    async def read(self, version: str) -> Sums:
        """The sums of a version. Raises PolicyError where it is not kept, or damaged."""
        if version == INITIAL:
            return sums.nothing(self.shape)
        payload: Any = await _awaited(self._redis.hget(STATES, version))
        if payload is None:
            raise PolicyError(
                f"Policy {version} is not kept any more: the newest {KEPT} are; `talentfeed policy show` lists them"
            )
        return payloads.decode(payload, self.shape)

    async def policy(self, version: str) -> Policy:
        """What ranks. Raises as `read`."""
        if version == INITIAL:
            return initial_policy(self.preset)
        return sums.policy(await self.read(version), version, self.preset)

    async def versions(self) -> list[str]:
        """Those that are kept, newest first, without the initial one."""
        found: Any = await self._redis.zrevrange(VERSIONS, 0, -1)
        return [name.decode() for name in found]

    async def tally(self) -> Mapping[str, float]:
        """Counters since the store began, and how many increments wait to be folded."""
        found: Any = await _awaited(self._redis.hmget(TALLY, list(TALLIES)))
        waiting: Any = await _awaited(self._redis.llen(INCREMENTS))
        return {**{name: float(value or 0) for name, value in zip(TALLIES, found, strict=True)}, "waiting": waiting}

    async def increments(self, most: int) -> Sequence[bytes]:
        """The oldest that nobody folded yet."""
        found: Any = await _awaited(self._redis.lrange(INCREMENTS, 0, most - 1))
        return list(found)

    async def publish(
        self,
        head: Head,
        state: Sums,
        *,
        folded: int = 0,
        refused: int = 0,
        forgot_at: float | None = None,
        serve: bool = False,
    ) -> str | None:
        """Make a version in the place of `head`'s. → its name; None where another was quicker.

        `folded`: so many of the oldest increments are in it or, `refused` of them, were thrown away. `serve`: it is
        served also where nothing newer than what an operator chose is.
        """
        payload = payloads.encode(state)
        version = payloads.name_of(head.number + 1, payload)
        done = await self._publish(
            keys=[HEAD, STATES, VERSIONS, INCREMENTS, TALLY],
            args=[
                head.number,
                version,
                payload,
                folded,
                refused,
                "" if forgot_at is None else forgot_at,
                int(serve),
                KEPT,
            ],
        )
        return version if done else None

    # ------------------------------------------------------------ what operators do

    async def reset(self) -> str:
        """Start from nothing: what waits to be folded is thrown away too. → the new version."""
        for _ in range(ATTEMPTS):
            head = await self.head()
            waiting: Any = await _awaited(self._redis.llen(INCREMENTS))
            made = await self.publish(head, sums.nothing(self.shape), folded=waiting, refused=waiting, serve=True)
            if made is not None:
                return made
        raise _too_busy()

    async def put(self, state: Sums) -> str:
        """Go on from this state, and serve it. → the new version. Raises PolicyError."""
        payloads.check(state, self.shape)
        for _ in range(ATTEMPTS):
            made = await self.publish(await self.head(), state, serve=True)
            if made is not None:
                return made
        raise _too_busy()

    async def take(self, exported: object) -> str:
        """As `put`, of what `export` gave."""
        return await self.put(parse(exported, self.shape))

    async def rollback(self, version: str | None) -> str:
        """Go on from an earlier version: the named one, or the one before the newest. → the new version.

        Raises PolicyError where there is no such version.
        """
        if version is None:
            kept = await self.versions()
            version = kept[1] if len(kept) > 1 else INITIAL
        return await self.put(await self.read(version))

    async def report(self) -> dict[str, Any]:
        """What `talentfeed policy show` prints."""
        head = await self.head()
        learned = await self.read(head.learned)
        return {
            "learned": head.learned,
            "served": head.served,
            "at": head.at,
            "forgot_at": head.forgot_at,
            "versions": await self.versions(),
            "bandits": told(learned, self.preset),
            "items": len(learned.items.id),
            "impressions": learned.impressions,
            "reward": learned.reward,
            "tally": dict(await self.tally()),
        }

    async def export(self, version: str | None) -> dict[str, Any]:
        """A version as JSON that `put` takes back through `parse`; None: the newest. Raises PolicyError."""
        name = version or (await self.head()).learned
        return dump(name, await self.read(name), self.preset)


def told(state: Sums, preset: Preset) -> dict[str, Any]:
    """What each bandit has learned, for a person to read."""
    names = names_of(preset)
    found = {}
    for pool, bandit in sums.policy(state, "", preset).bandits.items():
        derived = derive(bandit)
        found[pool.value] = {
            "rewards": bandit.rewards,
            "weight": state.bandits[pool.value].weight,
            "theta": dict(zip(names, derived.theta.tolist(), strict=True)),
            "uncertainty": float(derived.inverse.trace() / len(derived.theta)),
            "error_variance": derived.variance,
        }
    return found


def dump(version: str, state: Sums, preset: Preset) -> dict[str, Any]:
    """Sums as JSON: the bandits as numbers that a person can read, and all of it as bytes, which is what counts."""
    payload = payloads.encode(state)
    return {
        "form": FORM,
        "version": version,
        "preset": preset.name,
        "impressions": state.impressions,
        "reward": state.reward,
        "bandits": told(state, preset),
        "state": base64.b64encode(zlib.compress(payload)).decode(),
    }


def parse(found: object, shape: Shape) -> Sums:
    """`dump` undone. Raises PolicyError, which says what is wrong."""
    if not isinstance(found, dict) or found.get("form") != FORM or not isinstance(found.get("state"), str):
        raise PolicyError(f"this is no policy of form {FORM}; accepted: what `talentfeed policy export` wrote")
    try:
        inflater = zlib.decompressobj()
        payload = inflater.decompress(base64.b64decode(found["state"], validate=True), 1 << 30)
        if not inflater.eof:
            raise PolicyError("the policy's state is cut short")
    except (ValueError, zlib.error) as error:
        raise PolicyError(f"the policy's state cannot be read: {error}") from error
    return payloads.decode(payload, shape)


def _too_busy() -> PolicyError:
    return PolicyError(f"{ATTEMPTS} times somebody else made a version first; try again, or stop the learners")


async def _awaited(found: Any) -> Any:
    return await found


# ---------------------------------------------------------------- a file beside the snapshot


class _Checkpoint(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    form: int
    number: int
    learned: str
    served: str
    at: float | None
    forgot_at: float | None
    states: dict[str, bytes]


async def checkpoint(policies: Policies, redis: Redis) -> bytes:
    """What an in-process store must not lose with its process: the head, and the versions it names."""
    head = await policies.head()
    states: dict[str, bytes] = {}
    for version in {head.learned, head.served} - {INITIAL}:
        payload: Any = await _awaited(redis.hget(STATES, version))
        if payload is not None:
            states[version] = payload
    kept = _Checkpoint(FORM, head.number, head.learned, head.served, head.at, head.forgot_at, states)
    return msgspec.msgpack.encode(kept)


async def restore(redis: Redis, payload: bytes, shape: Shape) -> Head:
    """Put a checkpoint into a store that has no policy. Raises PolicyError, and then nothing is put."""
    try:
        found = msgspec.msgpack.decode(payload, type=_Checkpoint)
    except msgspec.MsgspecError as error:
        raise PolicyError(f"this is no checkpoint of a policy: {error}") from error
    if found.form != FORM or {found.learned, found.served} - {INITIAL} - set(found.states):
        raise PolicyError("this is no checkpoint of a policy: a version that it names is not in it")
    for state in found.states.values():
        payloads.decode(state, shape)
    values: dict[Any, Any] = {"number": found.number, "learned": found.learned, "served": found.served}
    values |= {} if found.at is None else {"at": found.at}
    values |= {} if found.forgot_at is None else {"forgot_at": found.forgot_at}
    async with redis.pipeline(transaction=True) as together:
        together.hset(HEAD, mapping=values)
        for version, state in found.states.items():
            together.hset(STATES, version, state)
            together.zadd(VERSIONS, {version: int(version.partition("-")[0])})
        await together.execute()
    return Head(number=found.number, learned=found.learned, served=found.served, at=found.at, forgot_at=found.forgot_at)
