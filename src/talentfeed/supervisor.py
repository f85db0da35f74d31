"""One parent, several forked workers: a crashed one is replaced, all stop together, a restart leaves no gap.

The parent imports and listens, the workers share both. Nothing of the service runs in the parent: it only waits for
signals and for its children, so that it cannot fail with them.

    SIGTERM, SIGINT   every worker stops gracefully; the parent ends when all have
    SIGHUP            the program starts anew in this very process, with new code and settings and the same sockets;
                      former workers answer until the new ones are ready
"""

import contextlib
import gc
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType

from talentfeed.errors import TalentFeedError

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds from a stop until who is left is killed
STEADY_SECONDS = 10.0  # who served so long did not crash at once
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before the next start of one that keeps crashing
INHERITED = "TALENTFEED_INHERITED"  # environment, across an exec: descriptors and process ids, see `Inherited`
_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class Child:
    """What a worker knows of its parent."""

    name: str
    lifeline: int  # descriptor that ends when the parent is gone, however it went
    _ready: int

    def ready(self) -> None:
        """Say that this worker does its work from now on."""
        os.write(self._ready, b".")
        os.close(self._ready)


Work = Callable[[Child], None]


@dataclass(slots=True)
class _Slot:
    """One worker's place, and who holds it."""

    name: str
    work: Work
    pid: int = 0
    ready_fd: int = -1  # our end of the pipe on which it says that it is ready
    is_ready: bool = False
    started: float = 0.0
    due: float = 0.0  # monotonic time of the next start
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Inherited:
    """What the program before an exec left: its listener, its lifeline, its workers."""

    listener: int
    lifeline: tuple[int, int]
    pids: tuple[int, ...]

    @classmethod
    def take(cls) -> "Inherited | None":
        """From the environment, once."""
        text = os.environ.pop(INHERITED, None)
        if text is None:
            return None
        listener, read, write, *pids = map(int, text.split())
        return cls(listener, (read, write), tuple(pids))


@dataclass(slots=True)
class Supervisor:
    """Runs workers until it is told to stop.

    `rehearse` is called on SIGHUP before the program starts anew; it raises TalentFeedError where that would fail.
    """

    listener: socket.socket
    works: Mapping[str, Work]
    rehearse: Callable[[], None]
    inherited: Inherited | None = None
    patience: float = PATIENCE
    _slots: list[_Slot] = field(default_factory=list)
    _former: set[int] = field(default_factory=set)  # workers of the program before an exec
    _former_until: float | None = None  # monotonic time when they are killed; None: they were not told to stop yet
    _lifeline: tuple[int, int] = (-1, -1)
    _once_ready: bool = False

    def run(self, *, settled: Callable[[], None] = lambda: None) -> int:
        """→ the exit code: 0 after a stop that was asked for, 1 where no worker could start.

        settled: called once, when all workers are ready for the first time.
        """
        waiting = [settled]
        self._slots = [_Slot(name, work) for name, work in self.works.items()]
        self._former = set(self.inherited.pids) if self.inherited else set()
        self._lifeline = self.inherited.lifeline if self.inherited else os.pipe()
        gc.freeze()  # what is there now is never collected, so its pages stay shared; little of it is garbage
        with self._hearing_signals() as wakeup:
            while True:
                self._start_due()
                self._wait(wakeup)
                for number in self._heard(wakeup):
                    if number in (signal.SIGTERM, signal.SIGINT):
                        return self._stop()
                    if number == signal.SIGHUP:
                        self._start_anew()
                if not self._reap():
                    self._stop()
                    return 1
                if waiting and all(slot.is_ready for slot in self._slots):
                    waiting.pop()()
                self._dismiss_former()

    # ------------------------------------------------------------ waiting

    @contextlib.contextmanager
    def _hearing_signals(self) -> Iterator[int]:
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        for number in _WATCHED:
            signal.signal(number, _noted)
        signal.set_wakeup_fd(write)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)  # held back since an exec
        try:
            yield read
        finally:
            signal.set_wakeup_fd(-1)
            os.close(read)
            os.close(write)

    def _wait(self, wakeup: int) -> None:
        starting = {slot.ready_fd: slot for slot in self._slots if slot.ready_fd >= 0}
        waits = [slot.due for slot in self._slots if not slot.pid]
        waits += [self._former_until] if self._former and self._former_until else []
        timeout = max(0.0, min(waits) - time.monotonic()) if waits else None
        readable, _, _ = select.select([wakeup, *starting], [], [], timeout)
        for descriptor in readable:
            if descriptor in starting:
                self._hear_ready(starting[descriptor])

    def _hear_ready(self, slot: _Slot) -> None:
        slot.is_ready = os.read(slot.ready_fd, 1) == b"."
        os.close(slot.ready_fd)
        slot.ready_fd = -1
        self._once_ready |= slot.is_ready

    @staticmethod
    def _heard(wakeup: int) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(wakeup, 1_024)
        return b""

    # ------------------------------------------------------------ starting

    def _start_due(self) -> None:
        for slot in self._slots:
            if not slot.pid and time.monotonic() >= slot.due:
                self._start(slot)

    def _start(self, slot: _Slot) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        ready_read, ready_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ready_read)
            self._become(slot, ready_write)
        os.close(ready_write)
        slot.pid, slot.ready_fd, slot.is_ready, slot.started = pid, ready_read, False, time.monotonic()

    def _become(self, slot: _Slot, ready: int) -> None:
        """In the child: never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _WATCHED:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal's goes to the whole group: the parent decides
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, _leave)
            for other in self._slots:
                if other.ready_fd >= 0:
                    os.close(other.ready_fd)
            os.close(self._lifeline[1])
            slot.work(Child(slot.name, self._lifeline[0], ready))
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        except TalentFeedError as error:
            log.error("Worker %s: %s", slot.name, error)
        except BaseException:
            log.exception("Worker %s crashed", slot.name)
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    # ------------------------------------------------------------ ending

    def _reap(self) -> bool:
        """Note who ended. False: the first workers end before any of them was ready, so none ever will be."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return True
            self._former.discard(pid)
            for slot in self._slots:
                if slot.pid == pid and not self._ended(slot, status):
                    return False

    def _ended(self, slot: _Slot, status: int) -> bool:
        lived = time.monotonic() - slot.started
        if slot.ready_fd >= 0:
            self._hear_ready(slot)
        worked, slot.pid, slot.is_ready = slot.is_ready, 0, False
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"
        if not self._once_ready and not self._former:
            log.error("Worker %s ended with %s before it was ready; giving up", slot.name, how)
            return False
        if worked and lived >= STEADY_SECONDS:
            slot.pause = 0.0
        log.error("Worker %s ended with %s after %.1f s; it is replaced in %.1f s", slot.name, how, lived, slot.pause)
        slot.due = time.monotonic() + slot.pause
        slot.pause = min(max(FIRST_PAUSE, 2 * slot.pause), LONGEST_PAUSE)
        return True

    def _stop(self) -> int:
        """Ask everybody to stop, wait, kill who is left."""
        self.listener.close()  # nobody would answer who connects from now on: better refused at once than left waiting
        left = self._former | {slot.pid for slot in self._slots if slot.pid}
        _tell(left, signal.SIGTERM)
        deadline = time.monotonic() + self.patience
        while left and time.monotonic() < deadline:
            left = {pid for pid in left if not _is_over(pid)}
            time.sleep(0.02)
        if left:
            log.error("%d workers did not stop within %g s and are killed", len(left), self.patience)
            _tell(left, signal.SIGKILL)
        return 0

    # ------------------------------------------------------------ the same process, a new program

    def _start_anew(self) -> None:
        try:
            self.rehearse()
        except TalentFeedError as error:
            log.error("Not restarted, the present workers go on: %s", error)
            return
        log.info("Starting anew; the present workers answer until new ones are ready")
        kept = (self.listener.fileno(), *self._lifeline)
        for descriptor in kept:
            os.set_inheritable(descriptor, True)
        pids = self._former | {slot.pid for slot in self._slots if slot.pid}
        os.environ[INHERITED] = " ".join(map(str, (*kept, *sorted(pids))))
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)  # until the new program hears them: they would end it
        logging.shutdown()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line once more

    def _dismiss_former(self) -> None:
        if not self._former:
            return
        if self._former_until is None:
            if all(slot.is_ready for slot in self._slots):
                log.info("%d new workers are ready; the former ones stop", len(self._slots))
                _tell(self._former, signal.SIGTERM)
                self._former_until = time.monotonic() + self.patience
        elif time.monotonic() >= self._former_until:
            _tell(self._former, signal.SIGKILL)
            self._former_until = None


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor tells the loop."""


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _tell(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_over(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
