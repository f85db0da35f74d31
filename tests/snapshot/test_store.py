"""Publishing, loading, rolling back: what a reader can ever see is whole."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from tests.ranking.factory import random_snapshot
from tests.ranking.signals import with_signals

from talentfeed.contracts import Manifest, Snapshot
from talentfeed.errors import SnapshotError
from talentfeed.snapshot import store


def sealed(seed: int = 1) -> Snapshot:
    return store.seal(random_snapshot(30, 4, 20, seed))


def as_stored(manifest: Manifest) -> Manifest:
    return replace(manifest, cities=list(manifest.cities), tokens=list(manifest.tokens))


def test_what_is_loaded_is_what_was_published(tmp_path: Path) -> None:
    snapshot = sealed()
    manifest = store.publish(snapshot, tmp_path)
    loaded = store.load(tmp_path, verify=True)
    assert loaded.manifest == as_stored(manifest)
    assert loaded.n_creators == snapshot.n_creators
    for (name, written), (other, read) in zip(store.arrays(snapshot), store.arrays(loaded), strict=True):
        assert name == other
        assert written.dtype == read.dtype
        np.testing.assert_array_equal(written, read)


def test_loaded_arrays_are_mapped_and_read_only(tmp_path: Path) -> None:
    store.publish(sealed(), tmp_path)
    loaded = store.load(tmp_path)
    assert not loaded.videos.features.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        loaded.videos.features[0, 0] = 1.0


def test_an_empty_snapshot_can_be_published_and_loaded(tmp_path: Path) -> None:
    store.publish(store.seal(random_snapshot(0, 0, 0, 1)), tmp_path)
    assert len(store.load(tmp_path, verify=True).videos.id) == 0


def test_the_same_content_has_the_same_version_and_other_content_another() -> None:
    assert sealed(1).manifest.version == sealed(1).manifest.version
    assert sealed(1).manifest.version != sealed(2).manifest.version
    other_url = replace(sealed(1), manifest=replace(sealed(1).manifest, media_base_url="https://other.test"))
    assert store.seal(other_url).manifest.version != sealed(1).manifest.version


def test_publishing_what_is_there_already_is_fine(tmp_path: Path) -> None:
    first = store.publish(sealed(), tmp_path)
    assert store.publish(sealed(), tmp_path) == first
    assert store.versions(tmp_path) == [first.version]


def test_publishing_over_a_damaged_version_mends_it(tmp_path: Path) -> None:
    manifest = store.publish(sealed(), tmp_path)
    (tmp_path / manifest.version / "users.id.npy").write_bytes(b"nothing")
    store.publish(sealed(), tmp_path)
    assert store.load(tmp_path, verify=True).manifest == as_stored(manifest)


def test_arrays_that_changed_after_sealing_are_not_published(tmp_path: Path) -> None:
    snapshot = sealed()
    changed = replace(snapshot, videos=replace(snapshot.videos, created_at=snapshot.videos.created_at + 1))
    with pytest.raises(SnapshotError, match="changed after it was sealed"):
        store.publish(changed, tmp_path)
    assert store.current(tmp_path) is None


def test_a_writer_that_dies_leaves_the_current_snapshot_and_nothing_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = store.publish(sealed(1), tmp_path)
    real, written = os.fsync, []

    def full(handle: int) -> None:
        written.append(handle)
        if len(written) > 7:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SnapshotError, match="No space left on device"):
        store.publish(sealed(2), tmp_path)
    monkeypatch.undo()
    assert store.current(tmp_path) == good.version
    assert store.versions(tmp_path) == [good.version]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".making")] == []


def test_the_pointer_rolls_back_and_names_what_there_is(tmp_path: Path) -> None:
    first, second = store.publish(sealed(1), tmp_path), store.publish(sealed(2), tmp_path)
    assert store.current(tmp_path) == second.version
    store.point(tmp_path, first.version)
    assert store.load(tmp_path).manifest.version == first.version
    with pytest.raises(SnapshotError, match=second.version):
        store.point(tmp_path, "19700101T000000Z-none")


@pytest.mark.parametrize("name", ["../outside", "", ".hidden", "a/b"])
def test_a_version_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(SnapshotError, match="no name of a version"):
        store.point(tmp_path, name)


def test_pruning_keeps_the_last_and_the_current_one(tmp_path: Path) -> None:
    made = [store.publish(sealed(seed), tmp_path).version for seed in range(5)]
    store.point(tmp_path, made[0])
    held = store.load(tmp_path, made[1])
    assert store.prune(tmp_path, keep=2) == [made[1], made[2]]
    assert store.versions(tmp_path) == [made[0], *made[3:]]
    assert held.videos.id[0] == sealed(1).videos.id[0]  # who has it open keeps it


def broken_manifest(home: Path) -> None:
    (home / "manifest.json").write_bytes(b'{"manifest"')


def newer_schema(home: Path) -> None:
    stored = json.loads((home / "manifest.json").read_bytes())
    stored["manifest"]["schema_version"] = 99
    (home / "manifest.json").write_text(json.dumps(stored), encoding="utf-8")


def test_a_snapshot_of_before_there_were_signals_still_loads(tmp_path: Path) -> None:
    version = store.publish(sealed(), tmp_path).version
    manifest = tmp_path / version / "manifest.json"
    stored = json.loads(manifest.read_bytes())
    stored["manifest"]["schema_version"] = 1
    for unheard in (stored["manifest"].pop("weights"), stored.pop("signals")):
        assert not unheard
    manifest.write_text(json.dumps(stored), encoding="utf-8")
    assert store.load(tmp_path, verify=True).signals is None


def test_signals_come_back_as_they_were(tmp_path: Path) -> None:
    made = store.seal(with_signals(random_snapshot(30, 4, 20, 1), 1))
    store.publish(made, tmp_path)
    found = store.load(tmp_path, verify=True).signals
    assert found is not None
    assert made.signals is not None
    for field in fields(found):
        one, other = getattr(found, field.name), getattr(made.signals, field.name)
        assert one.tobytes() == other.tobytes() if isinstance(one, np.ndarray) else one == other, field.name


def test_other_weights_make_another_version() -> None:
    made = with_signals(random_snapshot(30, 4, 20, 1), 1)
    assert made.signals is not None
    other = replace(made, signals=replace(made.signals, blend=replace(made.signals.blend, cold_level=-3.0)))
    assert store.seal(other).manifest.version != store.seal(made).manifest.version


def truncated(home: Path) -> None:
    path = home / "videos.features.npy"
    path.write_bytes(path.read_bytes()[:-100])


def missing(home: Path) -> None:
    (home / "users.city.npy").unlink()


def shorter(home: Path) -> None:
    np.save(home / "videos.id.npy", np.arange(3))


def flipped(home: Path) -> None:
    path = home / "videos.features.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x99")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (broken_manifest, "damaged"),
        (newer_schema, "schema 99"),
        (truncated, "damaged"),
        (missing, "users.city.npy is missing"),
        (shorter, "3 videos where its manifest says 30"),
        (flipped, "videos.features.npy is not what was published"),
    ],
)
def test_a_damaged_snapshot_is_refused_with_the_reason(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    version = store.publish(sealed(), tmp_path).version
    damage(tmp_path / version)
    with pytest.raises(SnapshotError, match=reason):
        store.load(tmp_path, verify=True)


def test_no_snapshot_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="talentfeed build"):
        store.load(tmp_path / "nowhere")
    assert store.current(tmp_path / "nowhere") is None
    assert store.versions(tmp_path / "nowhere") == []


def test_serving_does_not_import_what_builds() -> None:
    program = (
        "import sys, talentfeed.snapshot.store\n"
        "print([m for m in ('ibis', 'duckdb', 'pyarrow', 'pandas', 'adbc_driver_sqlite') if m in sys.modules])"
    )
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=paths)
    assert done.stdout.strip() == "[]"


def test_what_a_killed_process_left_half_made_is_swept_after_an_hour(tmp_path: Path) -> None:
    store.publish(sealed(), tmp_path)
    old, young = tmp_path / ".making-old-00", tmp_path / ".making-young-00"
    for folder in (old, young):
        folder.mkdir()
        (folder / "videos.id.npy").write_bytes(b"half")
    os.utime(old, (0, 0))
    store.prune(tmp_path)
    assert not old.exists()
    assert young.exists()


def test_a_withdrawn_snapshot_is_not_current_and_can_be_pointed_to_again(tmp_path: Path) -> None:
    version = store.publish(sealed(), tmp_path).version
    store.withdraw(tmp_path)
    assert store.current(tmp_path) is None
    store.point(tmp_path, version)
    assert store.current(tmp_path) == version
