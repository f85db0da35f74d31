"""Settings → live objects, once. No singletons, no globals: tests pass their own parts."""

import asyncio
import contextlib
import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.exceptions import RedisError

from talentfeed.activity import backlog
from talentfeed.activity.backlog import Backlog
from talentfeed.activity.beside import Pulse, StandIn
from talentfeed.activity.feeds_kept import FeedsKept
from talentfeed.activity.flush import Flusher, FlushReport
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.pruning import Pruner
from talentfeed.activity.quarantine import Quarantine
from talentfeed.activity.recorder import Recorder
from talentfeed.activity.sessions import Sessions
from talentfeed.building import build_command, fetch_command
from talentfeed.connections import Stores, check_bastion, open_stores, opened
from talentfeed.errors import SettingsError, SnapshotError, TalentFeedError
from talentfeed.evaluation.replay import Replayer, ReplayReport
from talentfeed.health import PROBE_SECONDS, Health, Probe
from talentfeed.policy import Learning, Rankers, policy_of
from talentfeed.ranking.feed import Ranker
from talentfeed.settings import Settings
from talentfeed.snapshot import store
from talentfeed.snapshot.live import LiveSnapshot, ReloadResult, Serving
from talentfeed.stores.limits import RateLimit
from talentfeed.tasks import obey_cancellation

Result = TypeVar("Result")
log = logging.getLogger(__name__)

OUTBOX_FEEDS = 10_000  # served feeds that may wait to be stored: at 1,000 a second, ten seconds of a slow Redis
WARM_SECONDS = 3.0  # that a start waits for what clients reported before; later it is tried again beside the requests
RETRY_SECONDS = 2.0
REST_SECONDS = 5.0  # in which a start does nothing that can wait, such as importing what only writing needs
LOOK_SECONDS = 5.0  # between looks at the stores; at first what can wait does not disturb a start
STOP_SECONDS = 9.0  # from when a stop begins, for requests, storing and flushing: a host kills after ten


def check_settings(settings: Settings) -> None:
    """Raise SettingsError, PatternError or BastionError for what cannot be served."""
    check_bastion(settings)
    Rankers(settings)
    if settings.redis_host is None and settings.workers > 1:
        raise SettingsError(
            f"WORKERS: {settings.workers}, but the in-process store lives in one process: each worker would know only "
            "what it served itself. Set REDIS_HOST, or serve with one worker"
        )


class Service:
    """The parts of one serving process, and their common life."""

    def __init__(
        self,
        settings: Settings,
        *,
        stores: Stores,
        live: LiveSnapshot[Ranker],
        learning: Learning,
        sessions: Sessions,
        recorder: Recorder,
        flusher: Flusher | StandIn,
        replayer: Replayer,
        as_of: float | None = None,
    ) -> None:
        self.settings = settings
        self.live = live
        self.learning = learning
        self.stores = stores
        self.quarantine = make_quarantine(settings, stores)
        self.sessions = sessions
        self.recorder = recorder
        self.flusher = flusher
        self.replayer = replayer
        self.as_of = as_of
        self._tasks: list[asyncio.Task[None]] = []
        self.limiter = make_limiter(settings, stores)
        self._health = Health(stores, live, self.limiter, preset_fault=lambda: learning.preset_fault)
        self.backlog: Backlog | None = None
        self._stopping_since: float | None = None  # monotonic

    @property
    def serving(self) -> Serving[Ranker] | None:
        """What requests are answered from; None before there is a snapshot."""
        return self.live.serving

    @property
    def probes(self) -> Mapping[str, Probe]:
        """What each store said when it was last asked."""
        return self._health.probes

    @property
    def bastion(self) -> Any:
        """The `stores.bastion.State` of the bastion; None: there is none."""
        return self.stores.bastion_state

    def clock(self) -> float:
        """Now, or the fixed day the catalogue is served as on; seconds since 1970, UTC."""
        return time.time() if self.as_of is None else self.as_of

    async def start(self) -> None:
        """Map the snapshot, then start what works beside the requests. Nothing here keeps a feed from being served."""
        self.live.hear()
        self.live.try_load()
        if self.serving is None and self.live.refused is None:
            log.warning("No snapshot in %s yet; make one with: talentfeed build", self.settings.snapshot_dir)
        if self.settings.mysql_host is None:  # the platform's own database is its owners': `talentfeed ledger --create`
            if self.stores.in_process:
                await self._own_ledger()
            else:  # only flushing needs it
                self._tasks.append(asyncio.create_task(self._own_ledger(), name="ledger"))
        if self.stores.bastion is not None:
            await self.stores.bastion.start(unheard=True)
        await self.recorder.start()
        self._tasks.append(asyncio.create_task(self.live.watch()))
        await self.learning.start()
        if self.stores.in_process and not await self._warm(patience=WARM_SECONDS):
            self._tasks.append(asyncio.create_task(self._until_done(self._warm)))
        await self.flusher.start()
        if self.serving is None and self.settings.mysql_host is not None and self.settings.snapshot_url is None:
            self._tasks.append(asyncio.create_task(self._until_done(self._first_snapshot)))
        if not isinstance(self.flusher, StandIn):  # else who flushes beside prunes, too
            self._tasks.append(asyncio.create_task(prune(self.settings, self.stores), name="pruner"))
        self._tasks.append(asyncio.create_task(self._look_around(), name="watch"))
        if self.settings.reload_interval_seconds > 0:
            self._tasks.append(asyncio.create_task(self.live.reload_every(self.settings.reload_interval_seconds)))

    async def _look_around(self) -> None:
        """Ask the stores how they are, for /metrics: probes, and how much waits. Runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._health.report()
                async with asyncio.timeout(PROBE_SECONDS):
                    self.backlog = await backlog.look(self.stores.redis)
            except (RedisError, OSError, TimeoutError):
                self.backlog = None  # the probe says so, in the log and to whoever asks
            except Exception:
                self.backlog = None
                log.exception("Looking after the stores failed")
            obey_cancellation()

    async def _own_ledger(self) -> None:
        try:
            await self.stores.activity_log.ensure_ledger()
        except TalentFeedError as error:
            log.error("The ledger table cannot be made, so activities wait: %s", error)

    async def _warm(self, *, patience: float | None = None) -> bool:
        """What clients reported since the snapshot counts again after a restart of an in-process store."""
        since = self.serving.snapshot.manifest.watermark if self.serving else 0.0
        try:
            async with asyncio.timeout(patience):
                await self.recorder.warm(await self.stores.activity_log.recent_client_activities(since))
        except (TalentFeedError, TimeoutError) as error:
            log.warning("Client events since the last build cannot be read back yet: %s", error or "no answer")
            return False
        return True

    async def _first_snapshot(self) -> bool:
        """There is nothing to serve yet: build, be the platform's database away or empty meanwhile."""
        with contextlib.suppress(SnapshotError):  # logged and kept in `build_error` by reload itself
            await self.live.reload()
        return self.serving is not None

    @staticmethod
    async def _until_done(work: Callable[[], Awaitable[bool]]) -> None:
        pause = RETRY_SECONDS
        while not await work():
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(2 * pause, 60.0)

    def stops_soon(self) -> None:
        """From now on the time runs in which all must be over, requests under way included."""
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()

    async def stop(self) -> None:
        """Drain what was recorded, flush it, close the connections."""
        self.stops_soon()
        assert self._stopping_since is not None  # noqa: S101 - just set
        until = self._stopping_since + STOP_SECONDS
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, self.live.close(), return_exceptions=True)
        await self.recorder.stop(patience=(until - time.monotonic()) / 3)
        await self.learning.stop()
        await self.flusher.stop(patience=until - time.monotonic())
        await self.sessions.close()
        await self.stores.close()

    async def reload(self) -> ReloadResult:
        """Build and swap. Raises SnapshotError with the reason; what was served goes on."""
        return await self.live.reload()

    async def flush(self) -> FlushReport:
        """Write what waits to `activity_log` now."""
        return await self.flusher.flush_all()

    async def health(self) -> dict[str, Any]:
        """What works, what is degraded and since when."""
        return await self._health.report()


def make_flusher(settings: Settings, stores: Stores) -> Flusher:
    """Redis → `activity_log`."""
    return Flusher(
        stores.redis,
        stores.activity_log,
        rows=stores.rows,
        threshold=settings.flush_threshold_activities,
        interval=settings.flush_interval_seconds,
        activity_ttl=settings.activity_ttl_seconds,
        lease=settings.flush_lease_seconds,
    )


def make_limiter(settings: Settings, stores: Stores) -> RateLimit | None:
    """What counts clients' calls; None: nobody does."""
    per_minute = settings.rate_limit_per_minute
    return RateLimit(stores.redis, per_minute=per_minute) if per_minute > 0 else None


async def make_pruner(settings: Settings, stores: Stores) -> Pruner:
    """What keeps the ledger from growing without end."""
    activity_log = await stores.activity_log.get()
    return Pruner(stores.redis, activity_log.ledger, every=settings.ledger_prune_seconds)


async def prune(settings: Settings, stores: Stores) -> None:
    """For as long as the process lives."""
    await asyncio.sleep(REST_SECONDS)
    await (await make_pruner(settings, stores)).run()


def make_quarantine(settings: Settings, stores: Stores) -> Quarantine:
    """What the database refused."""
    return Quarantine(stores.redis, threshold=settings.flush_threshold_activities)


def make_replayer(
    settings: Settings, redis: Any, kept: FeedsKept, *, serving: Callable[[], Ranker | None] = lambda: None
) -> Replayer:
    """What ranks a feed once more from its record."""
    return Replayer(
        kept=kept.read,
        load=lambda version: store.load(settings.snapshot_dir, version),
        policy=functools.partial(policy_of, redis),
        serving=serving,
    )


@dataclass(slots=True)
class Prepared:
    """What processes that are forked from one have in common in memory; None once that is over."""

    serving: Serving[Ranker] | None

    def take(self) -> Serving[Ranker] | None:
        """It is the caller's alone from now on."""
        serving, self.serving = self.serving, None
        return serving

    def forget(self) -> None:
        """Let go of it; processes that took it keep it."""
        self.serving = None


def prepare(settings: Settings) -> Prepared:
    """Map what is published and derive what ranks, before those who serve it are forked.

    Nothing where that cannot be, or where another preset would rank than the chosen one: who serves finds out and says
    so. Raises PatternError for a preset or pattern that does not exist.
    """
    live = LiveSnapshot(settings.snapshot_dir, prepare=Rankers(settings), build_command=None)
    with contextlib.suppress(SnapshotError):
        live.load()
    found = live.serving
    return Prepared(found if found is not None and found.ranker.preset.name == settings.preset else None)


def wire(
    settings: Settings,
    *,
    as_of: float | None = None,
    pulse: Pulse | None = None,
    first: bool = True,
    serving: Serving[Ranker] | None = None,
) -> Service:
    """Make a service from settings. Connects to nothing yet.

    pulse: of a process that flushes beside this one; the first of those that share it tells what that has done.
    serving: of `prepare`; a newer snapshot takes its place.
    Raises PatternError for a preset or pattern that does not exist, SettingsError for what is not built yet.
    """
    stores = open_stores(settings)
    outbox = Outbox(capacity=OUTBOX_FEEDS)
    flusher = make_flusher(settings, stores)
    rankers = Rankers(settings)
    live = LiveSnapshot(
        settings.snapshot_dir,
        prepare=rankers,
        build_command=build_command("--nice", "10", as_of=as_of)
        or (fetch_command() if settings.snapshot_url is not None else None),
        fetched=settings.snapshot_url is not None,
    )
    if serving is not None:
        rankers.adopt(serving.ranker)
        live.adopt(serving)
    learning = Learning(
        settings,
        stores.redis,
        rankers,
        live.prepare_again,
        in_process=stores.in_process,
        line=stores.recording,
    )
    return Service(
        settings,
        stores=stores,
        live=live,
        learning=learning,
        replayer=make_replayer(
            settings,
            stores.redis,
            FeedsKept(stores.redis, outbox=outbox),
            serving=lambda: live.serving.ranker if live.serving is not None else None,
        ),
        sessions=Sessions(
            stores.line, outbox=outbox, budget=None if stores.in_process else settings.session_budget_ms / 1000
        ),
        recorder=Recorder(
            stores.redis,
            outbox=outbox,
            line=stores.recording,
            event_log=stores.activity_log if stores.in_process else None,
            rows=stores.rows,
            activity_ttl=settings.activity_ttl_seconds,
            session_ttl=settings.session_ttl_seconds,
            threshold=settings.flush_threshold_activities,
            shown=learning.shown,
        ),
        flusher=flusher if pulse is None else StandIn(flusher, pulse, tells=first),
        as_of=as_of,
    )


async def flush_once(settings: Settings) -> FlushReport:
    """Write what waits in Redis to `activity_log`, once."""
    async with opened(settings) as stores:
        if settings.mysql_host is None:
            await stores.activity_log.ensure_ledger()
        report = await make_flusher(settings, stores).flush_all()
        if report.error is None:
            await (await make_pruner(settings, stores)).look()
        return report


def with_quarantine(settings: Settings, work: Callable[[Quarantine], Awaitable[Result]]) -> Result:
    """Look at, or change, what was set aside. Raises StoreUnavailableError."""

    async def run() -> Result:
        async with opened(settings) as stores:
            return await work(make_quarantine(settings, stores))

    return asyncio.run(run())


async def replay_once(settings: Settings, feed_id: str) -> ReplayReport | None:
    """Rank a feed once more from what Redis keeps of it; None where it keeps nothing.

    Raises VersionGoneError, StoreUnavailableError.
    """
    async with opened(settings) as stores:
        return await make_replayer(settings, stores.redis, FeedsKept(stores.redis)).report(feed_id)
