"""Work in a process of its own: it is another process, it gives the same, it fails aloud, it leaves nobody behind."""

import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.snapshot.platform import NOW, a_platform, write

from talentfeed.snapshot.build import build
from talentfeed.snapshot.source import Source, open_sqlite

PARTS = """
import multiprocessing, os, signal, threading
from talentfeed.errors import SnapshotError
from talentfeed.snapshot.apart import apart

warmed = []

def warm():
    warmed.append(os.getpid())

def work(one, *, other=0):
    if one is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return one // other, os.getpid(), list(warmed)
"""


def run(code: str) -> None:
    """In a program of its own, which has one thread: a fork of this one would take with it what all tests began."""
    done = subprocess.run(
        [sys.executable, "-c", PARTS + code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_it_is_another_process_that_was_warm_before_and_is_gone_after() -> None:
    run("""
with apart(work, warm=warm, forks=True) as begin:
    [child] = multiprocessing.active_children()
    result = begin(6, other=3)
    assert result() == (2, child.pid, [child.pid])
    assert child.pid != os.getpid()
assert not multiprocessing.active_children()
assert not warmed
""")


def test_what_it_raises_is_raised_to_who_waits_and_a_killed_one_is_told() -> None:
    run("""
with apart(work, warm=warm, forks=True) as begin:
    try:
        begin(1, other=0)()
    except ZeroDivisionError:
        pass
    else:
        raise AssertionError("nothing was raised")
with apart(work, warm=warm, forks=True) as begin:
    try:
        begin(None)()
    except SnapshotError as error:
        assert "memory" in str(error)
    else:
        raise AssertionError("nothing was raised")
""")


def test_it_ends_with_a_block_that_fails_before_anything_was_begun() -> None:
    run("""
try:
    with apart(work, warm=warm, forks=True):
        raise KeyError
except KeyError:
    pass
assert not multiprocessing.active_children()
""")


def test_beside_other_threads_nothing_is_forked() -> None:
    run("""
over = threading.Event()
thread = threading.Thread(target=over.wait)
thread.start()
with apart(work, warm=warm, forks=True) as begin:
    assert begin(6, other=3)() == (2, os.getpid(), [])
over.set()
thread.join()
""")


def test_a_build_gives_the_same_bytes_in_one_process_and_in_two(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    write(path, a_platform())
    source = Source(database=partial(open_sqlite, path))
    here = build(source, tmp_path / "here", now=NOW, media_base_url="https://m.test")
    code = f"""
from functools import partial
from pathlib import Path
from talentfeed.snapshot.build import build
from talentfeed.snapshot.source import Source, open_sqlite
source = Source(database=partial(open_sqlite, Path({str(path)!r})))
for forks in (True, False):
    folder = Path({str(tmp_path)!r}) / str(forks)
    report = build(source, folder, now={NOW}, media_base_url="https://m.test", forks=forks)
    assert report.manifest.version == {here.manifest.version!r}
    assert dict(report.manifest.checksums) == {dict(here.manifest.checksums)!r}
"""
    run(code)
