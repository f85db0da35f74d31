"""What the door needs of the service behind it. `wiring.Service` is one; a test may hand its own parts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from talentfeed.activity.backlog import Backlog
    from talentfeed.activity.beside import Flushed
    from talentfeed.activity.flush import FlushReport
    from talentfeed.activity.quarantine import Quarantine
    from talentfeed.activity.recorder import ServedFeed
    from talentfeed.activity.sessions import Session
    from talentfeed.contracts import Activity, Snapshot
    from talentfeed.evaluation.replay import ReplayReport
    from talentfeed.policy import Learning
    from talentfeed.ranking.explanation import Explanation
    from talentfeed.ranking.feed import Ranker
    from talentfeed.settings import Settings
    from talentfeed.snapshot.outcomes import Outcome


class Serving(Protocol):
    """What a request reads; it stays whole while another is swapped in."""

    @property
    def snapshot(self) -> "Snapshot": ...
    @property
    def ranker(self) -> "Ranker": ...
    @property
    def loaded_at(self) -> float:
        """Seconds since 1970, UTC."""


class SessionReader(Protocol):
    """Reads what earlier requests left behind."""

    async def read(self, user_id: int, session_id: str | None, *, endpoint: str) -> "Session":
        """The session, or an empty one that says it is degraded. Never raises for a store's trouble."""


class ActivityRecorder(Protocol):
    """Keeps what was served and what clients report."""

    @property
    def recorded_feeds(self) -> int: ...
    @property
    def lost_served(self) -> int:
        """Records of served items that had to be dropped."""

    @property
    def reported(self) -> int: ...
    @property
    def repeats(self) -> int: ...
    @property
    def unstored(self) -> int:
        """Served feeds that are not in Redis yet."""

    def served(self, feed: "ServedFeed") -> None:
        """Take note of a feed. Never blocks."""

    async def report(self, activities: Sequence["Activity"]) -> int:
        """Store client events durably; how many. Raises StoreUnavailableError where that is not possible now."""


class ReloadCounters(Protocol):
    """What reloading has done so far."""

    @property
    def reloads(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def built(self) -> "Outcome | None":
        """How the last build went; None where none was made from here."""

    @property
    def build_error(self) -> object | None:
        """Why the last build came to nothing; None where it ended well."""

    @property
    def refused(self) -> object | None:
        """Why the published snapshot is not served."""

    @property
    def fetch_error(self) -> object | None:
        """Why what is published elsewhere is not here."""


class StoreProbe(Protocol):
    """What a store said when it was last asked."""

    @property
    def up(self) -> bool: ...
    @property
    def since(self) -> float:
        """Since when it is so, seconds since 1970 UTC."""

    @property
    def seconds(self) -> float:
        """That the answer took, or the lack of one."""


class BastionState(Protocol):
    """Whether the SSH bastion lets us through."""

    @property
    def up(self) -> bool: ...
    @property
    def since(self) -> float:
        """Since when it is so, seconds since 1970 UTC."""

    @property
    def connections(self) -> int:
        """Made so far."""


class ReloadResult(Protocol):
    """What a reload did."""

    @property
    def version(self) -> str: ...
    @property
    def changed(self) -> bool: ...
    @property
    def seconds(self) -> float: ...
    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def skipped(self) -> Mapping[str, int]: ...


class FeedReplayer(Protocol):
    """Makes a feed once more from its record. Both are None for a feed that is not known, or not kept any more.

    Both raise VersionGoneError where the feed's snapshot, policy or preset is gone, StoreUnavailableError where its
    record cannot be read now.
    """

    async def explain(self, feed_id: str) -> "Explanation | None": ...
    async def report(self, feed_id: str) -> "ReplayReport | None": ...


class RateLimiter(Protocol):
    """How often clients may call."""

    @property
    def refused(self) -> int: ...
    @property
    def unchecked(self) -> int:
        """Calls that were let through without being counted: Redis did not answer."""

    @property
    def open_since(self) -> float | None:
        """Since when nobody is refused since Redis does not answer, seconds since 1970 UTC; None: it does."""

    async def wait(self, client: str) -> float:
        """Count a call → 0, or the seconds after which this client may call again."""


class Service(Protocol):
    """The parts of one serving process that requests touch."""

    @property
    def settings(self) -> "Settings": ...
    @property
    def serving(self) -> Serving | None:
        """None before there is a snapshot."""

    @property
    def sessions(self) -> SessionReader: ...
    @property
    def recorder(self) -> ActivityRecorder: ...
    @property
    def flusher(self) -> "Flushed": ...
    @property
    def quarantine(self) -> "Quarantine": ...
    @property
    def live(self) -> ReloadCounters: ...

    @property
    def learning(self) -> "Learning": ...
    @property
    def replayer(self) -> FeedReplayer: ...

    @property
    def probes(self) -> Mapping[str, StoreProbe]:
        """By store; empty until they were first asked."""

    @property
    def backlog(self) -> "Backlog | None":
        """How much waits in Redis, by the last look; None while it does not say."""

    @property
    def limiter(self) -> RateLimiter | None:
        """None where there is no limit."""

    @property
    def bastion(self) -> BastionState | None:
        """None where there is none."""

    def clock(self) -> float:
        """Now, or the fixed day; seconds since 1970, UTC."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def reload(self) -> ReloadResult:
        """Raises TalentFeedError with the reason; what was served goes on."""

    async def flush(self) -> "FlushReport":
        """Write what waits to `activity_log`."""

    async def health(self) -> dict[str, Any]:
        """status, snapshot, stores, degraded."""
