"""What works, what is degraded and since when: what `/health/ready` answers."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from talentfeed.connections import Stores
from talentfeed.snapshot.live import Fault, LiveSnapshot
from talentfeed.stores.limits import RateLimit

log = logging.getLogger(__name__)

PROBE_SECONDS = 0.5  # that a store may take to answer


@dataclass(frozen=True, slots=True)
class Probe:
    """What a store said when it was last asked."""

    up: bool
    since: float  # since when it is so, seconds since 1970 UTC
    seconds: float  # that the answer took, or the lack of one


class Health:
    """Asks the stores, and remembers since when one does not answer."""

    def __init__(
        self,
        stores: Stores,
        live: LiveSnapshot[Any],
        limiter: RateLimit | None = None,
        *,
        preset_fault: Callable[[], Fault | None] = lambda: None,
    ) -> None:
        """`preset_fault`: why another preset ranks than the chosen one."""
        self._stores = stores
        self._preset_fault = preset_fault
        self._limiter = limiter
        self._live = live
        self.probes: dict[str, Probe] = {}  # by store

    async def report(self) -> dict[str, Any]:
        """What works, what is degraded and since when."""
        await self._stores.asked.get()  # its libraries' import is no time that the database takes to answer
        stores = {
            "redis": await self._probe("redis", self._stores.redis.ping),
            "database": await self._probe("database", self._stores.asked.ping),
        }
        since = {name: probe.since for name, probe in self.probes.items()}
        if (bastion := self._stores.bastion_state) is not None:
            stores["bastion"], since["bastion"] = bastion.kind, bastion.since
        wrong = {name: kind for name, kind in stores.items() if kind != "ok"}
        degraded = [
            {"part": name, "reason": kind, "since": since.get(name, time.time())} for name, kind in wrong.items()
        ]
        if self._limiter is not None and self._limiter.open_since is not None:
            reason = "open: Redis did not answer, so nobody is refused"
            degraded.append({"part": "rate_limit", "reason": reason, "since": self._limiter.open_since})
        for part, fault in (
            ("snapshot", self._live.refused),
            ("build", self._live.build_error),
            ("fetch", self._live.fetch_error),
            ("preset", self._preset_fault()),
        ):
            if fault is not None:
                degraded.append({"part": part, "reason": fault.reason, "since": fault.since})
        serving = self._live.serving
        return {
            "status": "unavailable" if serving is None else "degraded" if degraded else "ok",
            "snapshot": None
            if serving is None
            else {
                "version": serving.snapshot.manifest.version,
                "watermark": serving.snapshot.manifest.watermark,
                "loaded_at": serving.loaded_at,
                "counts": dict(serving.snapshot.manifest.counts),
            },
            "stores": stores,
            "degraded": degraded,
        }

    async def _probe(self, part: str, ping: Callable[[], Any]) -> str:
        """`ok`, or the kind of fault; its text may name hosts and accounts, so that goes to the log alone."""
        began = time.perf_counter()
        kind = "ok"
        try:
            await asyncio.wait_for(ping(), timeout=PROBE_SECONDS)
        except Exception as error:  # noqa: BLE001 - a probe reports whatever is wrong
            kind = type(error).__name__
            if self._up(part) is not False:
                log.warning("The %s does not answer: %s: %s", part, kind, error)
        else:
            if self._up(part) is False:
                log.info("The %s answers again", part)
        up, seconds = kind == "ok", time.perf_counter() - began
        since = self.probes[part].since if self._up(part) is up else time.time()
        self.probes[part] = Probe(up, since, seconds)
        return kind

    def _up(self, part: str) -> bool | None:
        """As it was when last asked; None: it never was."""
        return self.probes[part].up if part in self.probes else None
