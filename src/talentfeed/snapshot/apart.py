"""A piece of work beside the rest, in a process of its own: two interpreters compute where two threads take turns."""

import contextlib
import functools
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from talentfeed.errors import SnapshotError

Result = TypeVar("Result")
Begin = Callable[..., Callable[[], Result]]  # given the work's arguments, which begins it; → what waits for its result


@contextlib.contextmanager
def apart(work: Callable[..., Result], *, warm: Callable[[], None], forks: bool) -> Iterator[Begin[Result]]:
    """What begins `work`, once. Until then its process does `warm`, such as importing.

    forks: it is forked at once, while this process is small. Without, and where other threads run, which a fork would
    tear apart, it is a thread of this process. What the work raises is raised to who waits; SnapshotError where its
    process is gone.
    """
    if not forks or threading.active_count() > 1:
        with ThreadPoolExecutor(1, thread_name_prefix="apart") as pool:
            yield lambda *given, **named: pool.submit(work, *given, **named).result
        return
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, ours, work, warm), name="apart")
    process.start()
    theirs.close()
    try:
        yield functools.partial(_begin, ours)
    finally:
        ours.close()
        process.kill()
        process.join()


def _begin(ours: Connection, *given: Any, **named: Any) -> Callable[[], Any]:
    with contextlib.suppress(BrokenPipeError):  # it is gone, which `_result` says
        ours.send((given, named))
    return functools.partial(_result, ours)


def _result(ours: Connection) -> Any:
    try:
        found, error = ours.recv()
    except (EOFError, ConnectionResetError):
        raise SnapshotError("a process of the build was killed; is there enough memory?") from None
    if error is not None:
        raise error
    return found


def _serve(theirs: Connection, ours: Connection, work: Callable[..., Any], warm: Callable[[], None]) -> None:
    """In the process: ends with its parent, too, as the pipe does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's goes to the whole group: the parent decides
    ours.close()
    warm()
    try:
        given, named = theirs.recv()
    except EOFError:
        return
    told: tuple[Any, Exception | None]
    try:
        told = (work(*given, **named), None)
    except Exception as error:  # noqa: BLE001 - told to who waits
        told = (None, error)
    with contextlib.suppress(BrokenPipeError):
        theirs.send(told)
