"""The snapshot that is served: swapped whole, never for a worse one. Builds are real child processes."""

import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ranking.factory import make_snapshot, video

from talentfeed.contracts import Snapshot
from talentfeed.errors import SnapshotError
from talentfeed.snapshot import live as live_module
from talentfeed.snapshot import outcomes, store
from talentfeed.snapshot.live import LiveSnapshot
from talentfeed.snapshot.outcomes import BUILD, FETCH, Outcome

REPORT = json.dumps({"version": "any", "seconds": 0.1})


def snapshot(*ids: int) -> Snapshot:
    made = make_snapshot(videos=[video(number) for number in ids])
    return replace(made, manifest=replace(made.manifest, version=f"of-{len(ids)}-videos"))


def child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def live(folder: Path, build: list[str] | None = None) -> LiveSnapshot[int]:
    return LiveSnapshot(folder, prepare=lambda read: len(read.videos.id), build_command=build)


def test_nothing_published_is_nothing_served(tmp_path: Path) -> None:
    part = live(tmp_path)
    assert part.load() is False
    assert part.serving is None


def test_a_published_snapshot_is_served_once(tmp_path: Path) -> None:
    manifest = store.publish(snapshot(1, 2), tmp_path)
    part = live(tmp_path)
    assert part.load() is True
    assert part.load() is False
    assert part.serving is not None
    assert part.serving.ranker == 2
    assert part.serving.snapshot.manifest.version == manifest.version


def test_a_damaged_snapshot_never_replaces_a_good_one(tmp_path: Path) -> None:
    store.publish(snapshot(1), tmp_path)
    part = live(tmp_path)
    part.load()
    bad = store.publish(snapshot(1, 2), tmp_path)
    (tmp_path / bad.version / "manifest.json").write_text("{")
    assert part.try_load() is False
    assert part.serving is not None
    assert part.serving.ranker == 1
    assert part.refused is not None
    assert part.failures == 1


def test_a_build_that_fails_says_why_and_the_old_snapshot_goes_on(tmp_path: Path) -> None:
    store.publish(snapshot(1), tmp_path)
    part = live(tmp_path, child("import sys; sys.exit('resumes: no column `video`')"))
    part.load()
    with pytest.raises(SnapshotError, match="resumes: no column `video`"):
        asyncio.run(part.reload())
    assert part.serving is not None
    assert part.build_error is not None
    assert "no column" in part.build_error.reason


def test_a_build_without_a_report_is_a_failure(tmp_path: Path) -> None:
    part = live(tmp_path, child("print('done')"))
    with pytest.raises(SnapshotError, match="no report"):
        asyncio.run(part.reload())


def test_two_reloads_at_once_are_one_build(tmp_path: Path) -> None:
    store.publish(snapshot(1), tmp_path)
    ran = tmp_path / "ran"
    part = live(tmp_path, child(f"import time; time.sleep(0.3); open({str(ran)!r}, 'a').write('x'); print('{REPORT}')"))

    async def both() -> None:
        await asyncio.gather(part.reload(), part.reload())

    asyncio.run(both())
    assert ran.read_text() == "x"
    assert part.reloads == 1


def test_a_caller_that_goes_away_does_not_stop_the_build(tmp_path: Path) -> None:
    store.publish(snapshot(1), tmp_path)
    ran = tmp_path / "ran"
    part = live(tmp_path, child(f"import time; time.sleep(0.3); open({str(ran)!r}, 'a').write('x'); print('{REPORT}')"))

    async def leave_and_come_back() -> None:
        first = asyncio.create_task(part.reload())
        await asyncio.sleep(0.05)
        first.cancel()
        await part.reload()

    asyncio.run(leave_and_come_back())
    assert ran.read_text() == "x"


def test_what_another_process_publishes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "WATCH_SECONDS", 0.02)
    store.publish(snapshot(1), tmp_path)
    part = live(tmp_path)
    part.load()

    async def watch() -> None:
        watching = asyncio.create_task(part.watch())
        await asyncio.to_thread(store.publish, snapshot(1, 2, 3), tmp_path)
        for _ in range(500):
            if part.serving is not None and part.serving.ranker == 3:
                break
            await asyncio.sleep(0.01)
        assert part.serving is not None
        assert part.serving.ranker == 3
        watching.cancel()

    asyncio.run(watch())


def test_without_the_builds_libraries_reload_takes_the_newest_published(tmp_path: Path) -> None:
    store.publish(snapshot(1), tmp_path)
    part = live(tmp_path)
    part.load()
    published = store.publish(snapshot(1, 2), tmp_path)
    result = asyncio.run(part.reload())
    assert (result.version, result.changed) == (published.version, True)


def test_a_snapshot_whose_bytes_changed_is_refused_though_its_sizes_fit(tmp_path: Path) -> None:
    store.publish(snapshot(1), tmp_path)
    part = live(tmp_path)
    part.load()
    bad = store.publish(snapshot(1, 2), tmp_path)
    file = tmp_path / bad.version / "videos.id.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert part.try_load() is False
    assert part.serving is not None
    assert part.serving.ranker == 1
    assert part.refused is not None


def test_a_start_without_a_usable_pointer_serves_the_newest_whole_version(tmp_path: Path) -> None:
    store.publish(snapshot(1), tmp_path)
    store.publish(snapshot(1, 2), tmp_path)
    (tmp_path / "CURRENT").write_bytes(b"\xff")
    part = live(tmp_path)
    assert part.try_load() is True
    assert part.serving is not None
    assert part.serving.ranker == 2
    assert part.refused is not None


def test_what_was_refused_is_forgotten_when_the_pointer_is_right_again(tmp_path: Path) -> None:
    good = store.publish(snapshot(1), tmp_path)
    part = live(tmp_path)
    part.load()
    (tmp_path / "CURRENT").write_text("nosuch")
    part.try_load()
    assert part.refused is not None
    (tmp_path / "CURRENT").write_text(good.version)
    part.try_load()
    assert part.refused is None


def test_a_look_does_not_clear_a_failed_build_but_the_next_good_one_does(tmp_path: Path) -> None:
    store.publish(snapshot(1), tmp_path)
    marker = tmp_path / "fails"
    marker.touch()
    code = f"import os, sys; sys.exit('gone') if os.path.exists({str(marker)!r}) else print('{REPORT}')"
    part = live(tmp_path, child(code))
    with pytest.raises(SnapshotError, match="gone"):
        asyncio.run(part.reload())
    part.try_load()
    assert part.build_error is not None
    marker.unlink()
    asyncio.run(part.reload())
    assert part.build_error is None


def test_the_watcher_survives_what_nobody_foresaw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "WATCH_SECONDS", 0.02)
    store.publish(snapshot(1), tmp_path)
    broken = True

    def prepare(read: Snapshot) -> int:
        if broken:
            raise MemoryError("not now")
        return len(read.videos.id)

    part = LiveSnapshot(tmp_path, prepare=prepare, build_command=None)

    async def watch() -> None:
        nonlocal broken
        watching = asyncio.create_task(part.watch())
        await asyncio.sleep(0.2)
        assert part.refused is not None
        broken = False
        await asyncio.sleep(0.5)
        watching.cancel()

    asyncio.run(watch())
    assert part.serving is not None


def test_a_build_that_another_process_ran_is_heard_of_once_and_forgotten_after_a_good_one(tmp_path: Path) -> None:
    part = live(tmp_path)
    outcomes.tell(tmp_path, BUILD, Outcome(at=1_790_000_000.0, error="videos: 3 where the current snapshot has 900"))
    for _ in range(3):
        part.hear()
    assert part.build_error is not None
    assert "videos: 3 where" in part.build_error.reason
    assert part.build_error.since == 1_790_000_000.0
    assert part.failures == 1
    outcomes.tell(tmp_path, BUILD, Outcome(at=1_790_000_001.0, version="any"))
    part.hear()
    assert part.build_error is None
    assert part.failures == 1


def test_what_a_failed_build_left_is_the_answers_reason_and_counts_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from talentfeed.snapshot import outcomes as o;"
        f"o.tell(Path({str(tmp_path)!r}), o.BUILD, o.Outcome(at=1.0, error='all that is\\nwrong')); sys.exit('wrong')"
    )
    part = live(tmp_path, child(code))
    with pytest.raises(SnapshotError, match=r"The build failed: all that is\nwrong"):
        asyncio.run(part.reload())
    part.hear()
    assert part.failures == 1


def test_what_hinders_fetching_is_told_only_where_snapshots_are_fetched(tmp_path: Path) -> None:
    outcomes.tell(tmp_path, FETCH, Outcome(at=5.0, error="s3://there cannot be used"))
    part, other = LiveSnapshot(tmp_path, prepare=id, build_command=None, fetched=True), live(tmp_path)
    part.hear()
    other.hear()
    assert part.fetch_error is not None
    assert (part.fetch_error.reason, part.fetch_error.since) == ("s3://there cannot be used", 5.0)
    assert other.fetch_error is None
    outcomes.tell(tmp_path, FETCH, Outcome(at=6.0))
    part.hear()
    assert part.fetch_error is None


def test_a_build_of_another_process_puts_off_the_next_at_an_interval(tmp_path: Path) -> None:
    store.publish(snapshot(1), tmp_path)
    part = live(tmp_path, child(f"print('{REPORT}')"))

    async def run() -> None:
        rebuilding = asyncio.create_task(part.reload_every(0.5))
        await asyncio.sleep(0)  # it has begun to wait
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            outcomes.tell(tmp_path, BUILD, Outcome(at=time.time()))
            assert part.reloads == 0
            await asyncio.sleep(0.02)
        deadline = time.monotonic() + 60  # nobody else builds any more
        while not part.reloads:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        rebuilding.cancel()

    asyncio.run(run())
