"""Settings → the policy that ranks, and what learns it."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed import files
from talentfeed.activity.shown import ShownLog
from talentfeed.connections import away, opened
from talentfeed.contracts import Policy, Snapshot
from talentfeed.errors import PolicyError, SnapshotError, TalentFeedError
from talentfeed.learning.follower import Follower
from talentfeed.learning.policies import Head, Policies, checkpoint, restore
from talentfeed.ranking.feed import Ranker, initial_policy, parse_pattern, prepare
from talentfeed.ranking.presets import preset
from talentfeed.ranking.record import FeedRecord, VersionGoneError
from talentfeed.settings import Settings
from talentfeed.snapshot import store
from talentfeed.snapshot.live import Fault
from talentfeed.tasks import ended

if TYPE_CHECKING:
    from talentfeed.learning.learner import Learner
    from talentfeed.learning.sums import Sums

log = logging.getLogger(__name__)
Result = TypeVar("Result")
WITHOUT_SIGNALS = "classic"  # the preset that ranks where a snapshot lacks what the chosen one needs
CHECKPOINT = "policy.bin"  # beside the snapshots: what an in-process store must not lose


class Rankers:
    """Derives rankers from snapshots under the policy of the moment."""

    def __init__(self, settings: Settings) -> None:
        """Raises PatternError if the preset or the pattern does not exist; so do it at start."""
        self._preset = preset(settings.preset)
        parse_pattern(settings.feed_pattern)
        self._epsilon = settings.epsilon
        self._last: Ranker | None = None
        self._lock = threading.Lock()
        self.policy = initial_policy(self._preset)
        self.fault: Fault | None = None  # why another preset ranks than the chosen one

    def adopt(self, ranker: Ranker) -> None:
        """What this one implies is taken over where it ranks from the snapshot that comes next."""
        self._last = ranker

    def __call__(self, snapshot: Snapshot) -> Ranker:
        """Where the snapshot has no signals for a preset that ranks by them, `classic` ranks until one has.

        Raises as `prepare`.
        """
        with self._lock:
            chosen, policy = self._preset, self.policy
            lacks = chosen.learned is not None and snapshot.signals is None
            if lacks:
                chosen = preset(WITHOUT_SIGNALS)
                policy = initial_policy(chosen)
            self._last = prepare(snapshot, policy, chosen, epsilon=self._epsilon, before=self._last)
            self._tell(snapshot.manifest.version if lacks else None)
            return self._last

    def _tell(self, lacking: str | None) -> None:
        if lacking is None:
            self.fault = None
        elif self.fault is None:
            reason = (
                f"snapshot {lacking} has no signals, which the preset {self._preset.name} ranks by: {WITHOUT_SIGNALS} "
                "ranks until `talentfeed build` has made one"
            )
            log.warning("%s", reason)
            self.fault = Fault(reason, time.time())


class Learning:
    """What a serving process has to do with the policy: it follows it, tells the learner, and may be one itself."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        rankers: Rankers,
        again: Callable[[], None],
        *,
        in_process: bool,
        line: Any = None,
    ) -> None:
        """`again`: derive anew what ranks, and serve it. `line`: the recorder's, where it has one."""
        self._settings = settings
        self.mode = settings.policy_mode
        learns = self.mode != "static"
        self._redis = redis
        self._in_process = in_process
        self._file = settings.data_dir / CHECKPOINT
        self._policies = Policies(redis, preset(settings.preset))
        self._rankers, self._again = rankers, again
        self.follower = Follower(
            redis,
            self._policies,
            online=self.mode == "online",
            learning=learns,
            adopt=self._adopt,
            changed=self._save if in_process else None,
        )
        self.shown = ShownLog(redis, window=settings.reward_window_seconds, line=line) if learns else None
        self._learner = make_learner(settings, redis) if learns and in_process else None
        self._tasks: list[asyncio.Task[None]] = []

    async def ask(self, work: Callable[[Policies], Awaitable[Result]]) -> Result:
        """Look at, or change, the policy. Raises StoreUnavailableError, PolicyError."""
        return await _asked(self._policies, work)

    @property
    def preset_fault(self) -> Fault | None:
        """Why another preset ranks than the chosen one."""
        return self._rankers.fault

    def _adopt(self, policy: Policy) -> None:
        former, self._rankers.policy = self._rankers.policy, policy
        try:
            self._again()
        except (ValueError, LookupError, ArithmeticError, TalentFeedError):
            self._rankers.policy = former
            raise

    async def compare(self, written: Sequence[str], *, feeds: int, seed: int) -> dict[str, Any]:
        """Judge policies on what was served. Raises LogError, StoreUnavailableError."""
        from talentfeed.comparing import compare

        return await compare(self._settings, self._redis, written, feeds=feeds, seed=seed)

    async def start(self) -> None:
        """After the snapshot is loaded."""
        if self._in_process:
            await self._load()
        self._tasks = [asyncio.create_task(self.follower.watch(), name="policy")]
        if self._learner is not None:
            self._tasks.append(asyncio.create_task(self._learner.run(), name="learner"))

    async def stop(self) -> None:
        """While the store is still open."""
        for task in self._tasks:
            await ended(task)
        if self._learner is not None:
            await self._learner.finish()
            with contextlib.suppress(RedisError, OSError, PolicyError):
                await self._save(await self._policies.head())

    async def _load(self) -> None:
        """What an in-process store knew of the policy when it ended."""
        try:
            payload = await asyncio.to_thread(self._file.read_bytes)
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("%s: cannot be read, learning starts anew: %s", self._file, error.strerror)
            return
        if (await self._policies.head()).number:
            return
        try:
            await restore(self._redis, payload, self._policies.shape)
        except PolicyError as error:
            aside = self._file.with_suffix(".damaged")
            self._file.replace(aside)
            log.error("%s: %s; it is kept as %s, learning starts anew", self._file, error, aside)

    async def _save(self, head: Head) -> None:
        if not head.number:
            return
        payload = await checkpoint(self._policies, self._redis)
        try:
            await asyncio.to_thread(files.replaced, self._file, payload)
        except OSError as error:
            log.error("%s: cannot be written, a restart would lose what was learned: %s", self._file, error.strerror)


def make_learner(settings: Settings, redis: Redis) -> "Learner":
    """What turns feedback into policies. Most who serve do without it, and without its modules."""
    from talentfeed.learning import warm
    from talentfeed.learning.learner import Learner, Rules

    chosen = preset(settings.preset)

    def history() -> "Sums | None":
        try:
            snapshot = store.load(settings.snapshot_dir)
            return warm.from_history(snapshot, chosen)
        except (SnapshotError, PolicyError) as error:
            log.warning("Learning starts without history: %s", error)
            return None

    return Learner(
        redis,
        Rules(
            window=settings.reward_window_seconds,
            update_seconds=settings.policy_update_seconds,
            half_life_days=settings.policy_half_life_days,
        ),
        chosen,
        warm=history,
    )


async def policy_of(redis: Redis, record: FeedRecord) -> Policy:
    """The policy that a feed was ranked by.

    Raises VersionGoneError where it is not kept any more, StoreUnavailableError where that cannot be known now.
    """
    try:
        return await Policies(redis, preset(record.preset)).policy(record.policy)
    except PolicyError as error:
        raise VersionGoneError(f"Feed {record.feed_id} cannot be made again: {error}") from error
    except (RedisError, OSError) as error:
        raise away(error) from error


async def learn(settings: Settings) -> None:
    """Learn until cancelled."""
    async with opened(settings) as stores:
        await make_learner(settings, stores.redis).run()


def with_policies(settings: Settings, work: Callable[[Policies], Awaitable[Result]]) -> Result:
    """Look at, or change, the policy. Raises StoreUnavailableError, PolicyError."""

    async def run() -> Result:
        async with opened(settings) as stores:
            return await _asked(Policies(stores.redis, preset(settings.preset)), work)

    return asyncio.run(run())


async def _asked(policies: Policies, work: Callable[[Policies], Awaitable[Result]]) -> Result:
    try:
        return await work(policies)
    except (RedisError, OSError) as error:
        raise away(error) from error
