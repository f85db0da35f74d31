"""Snapshots travel whole or not at all, over a shared folder and over S3."""

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from tests.contracts.s3 import BUCKET, S3Server
from tests.ranking.factory import random_snapshot

from talentfeed.contracts import Snapshot
from talentfeed.errors import SettingsError, SnapshotError
from talentfeed.snapshot import follower as follower_module
from talentfeed.snapshot import store
from talentfeed.snapshot.exchange import Exchange, bring
from talentfeed.snapshot.follower import Follower

_numbers = itertools.count()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.kill()


on_both = pytest.mark.parametrize("url", ["folder", "s3"], indirect=True)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """On a shared folder; where a test asks for it also on S3."""
    if getattr(request, "param", "folder") == "folder":
        return str(tmp_path / "shared")
    server: S3Server = request.getfixturevalue("s3")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/prefix-{next(_numbers)}"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"


def sealed(seed: int = 1) -> Snapshot:
    return store.seal(random_snapshot(30, 4, 20, seed))


class Builder:
    """Publishes from a folder of its own, and damages what it published."""

    def __init__(self, url: str, folder: Path) -> None:
        self.exchange = Exchange(url)
        self.folder = folder
        self._fs, self._root = fsspec.url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)

    def publish(self, seed: int) -> str:
        version = store.write(sealed(seed), self.folder).version
        self.exchange.push(self.folder, version)
        return version

    def read(self, version: str, name: str) -> bytes:
        content: bytes = self._fs.cat_file(f"{self._root}/{version}/{name}")
        return content

    def put(self, version: str, name: str, content: bytes) -> None:
        self._fs.pipe_file(f"{self._root}/{version}/{name}", content)

    def remove(self, version: str, name: str) -> None:
        self._fs.rm_file(f"{self._root}/{version}/{name}")

    def point_at(self, version: str) -> None:
        self._fs.pipe_file(f"{self._root}/CURRENT", version.encode())


@pytest.fixture
def builder(url: str, tmp_path: Path) -> Builder:
    return Builder(url, tmp_path / "builder")


@on_both
def test_what_one_publishes_another_fetches_whole(builder: Builder, url: str, here: Path) -> None:
    version = builder.publish(1)
    assert bring(Exchange(url), here, keep=3).version == version
    assert store.current(here) == version
    loaded = store.load(here, verify=True)
    for (name, written), (other, read) in zip(store.arrays(sealed(1)), store.arrays(loaded), strict=True):
        assert name == other
        np.testing.assert_array_equal(written, read)


def test_nothing_published_is_said(url: str, here: Path) -> None:
    assert Exchange(url).current() is None
    assert Exchange(url).versions() == []
    with pytest.raises(SnapshotError, match="nothing is published there"):
        bring(Exchange(url), here, keep=3)


@on_both
def test_weights_are_left_for_builders_and_are_no_version(url: str) -> None:
    exchange = Exchange(url)
    assert exchange.weights() is None
    exchange.leave_weights(b"first")
    exchange.leave_weights(b"second")
    assert Exchange(url).weights() == b"second"
    assert exchange.versions() == []


def test_versions_are_listed_in_the_order_they_were_published(builder: Builder, url: str) -> None:
    first = builder.publish(1)
    second = builder.publish(2)
    found = Exchange(url).versions()
    assert [one.manifest.version for one in found] == [first, second]
    assert all(one.bytes > 1_000 for one in found)
    builder.publish(1)
    assert [one.manifest.version for one in Exchange(url).versions()] == [second, first]


def test_a_half_written_snapshot_is_refused_and_not_listed(builder: Builder, url: str, here: Path) -> None:
    good = builder.publish(1)
    bring(Exchange(url), here, keep=3)
    bad = builder.publish(2)
    builder.remove(bad, "manifest.json")
    with pytest.raises(SnapshotError, match="half written"):
        bring(Exchange(url), here, keep=3)
    assert store.current(here) == good
    assert [one.manifest.version for one in Exchange(url).versions()] == [good]
    with pytest.raises(SnapshotError, match="half written"):
        Exchange(url).point(bad)


def test_a_missing_file_is_named(builder: Builder, url: str, here: Path) -> None:
    builder.remove(builder.publish(1), "users.city.npy")
    with pytest.raises(SnapshotError, match=r"users\.city\.npy is missing"):
        bring(Exchange(url), here, keep=3)
    assert not list(here.glob(".fetching-*"))
    assert store.current(here) is None


@on_both
def test_a_corrupted_file_is_named_and_what_is_here_stays(builder: Builder, url: str, here: Path) -> None:
    good = builder.publish(1)
    bring(Exchange(url), here, keep=3)
    bad = builder.publish(2)
    content = builder.read(bad, "videos.features.npy")
    builder.put(bad, "videos.features.npy", content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SnapshotError, match=rf"{bad}: damaged: videos\.features\.npy is not what was published"):
        bring(Exchange(url), here, keep=3)
    assert store.current(here) == good
    assert store.versions(here) == [good]


def test_a_newer_schema_is_refused_before_its_files_are_fetched(builder: Builder, url: str, here: Path) -> None:
    version = builder.publish(1)
    manifest = json.loads(builder.read(version, "manifest.json"))
    manifest["manifest"] = {"schema_version": 99, "unheard": "of"}
    builder.put(version, "manifest.json", json.dumps(manifest).encode())
    builder.remove(version, "videos.features.npy")
    with pytest.raises(SnapshotError, match=r"schema 99, this program reads \d+; upgrade this program"):
        bring(Exchange(url), here, keep=3)


def test_publishing_again_with_force_mends_what_was_damaged(builder: Builder, url: str, here: Path) -> None:
    version = builder.publish(1)
    content = builder.read(version, "users.id.npy")
    builder.put(version, "users.id.npy", bytes(len(content)))
    builder.publish(1)  # as large as it should be, so it is taken for what it should be
    with pytest.raises(SnapshotError, match=r"users\.id\.npy"):
        bring(Exchange(url), here, keep=3)
    builder.exchange.push(builder.folder, version, force=True)
    assert bring(Exchange(url), here, keep=3).version == version


def test_a_damaged_local_copy_is_fetched_anew(builder: Builder, url: str, here: Path) -> None:
    version = builder.publish(1)
    bring(Exchange(url), here, keep=3)
    (here / version / "users.id.npy").write_bytes(b"nothing")
    bring(Exchange(url), here, keep=3)
    assert store.load(here, version, verify=True).manifest.version == version


def test_a_version_under_another_name_is_refused(builder: Builder, url: str, here: Path) -> None:
    first, second = builder.publish(1), builder.publish(2)
    builder.put(second, "manifest.json", builder.read(first, "manifest.json"))
    with pytest.raises(SnapshotError, match=f"{second}: it is version {first} under another name"):
        bring(Exchange(url), here, keep=3)


def test_what_a_manifest_does_not_list_is_not_fetched(builder: Builder, url: str, here: Path) -> None:
    version = builder.publish(1)
    builder.put(version, "surprise.npy", b"x" * 100)
    bring(Exchange(url), here, keep=3)
    assert not (here / version / "surprise.npy").exists()


@on_both
def test_pruning_keeps_the_last_and_the_current_one(builder: Builder, url: str) -> None:
    made = [builder.publish(seed) for seed in (1, 2, 3)]
    builder.exchange.point(made[0])
    gone = Exchange(url).prune(1)
    assert len(gone) == 1
    assert made[0] not in gone
    assert {one.manifest.version for one in Exchange(url).versions()} == {*made} - {*gone}


def test_a_pointer_that_is_no_name_is_refused(builder: Builder, url: str) -> None:
    builder.publish(1)
    builder.point_at("../../etc")
    with pytest.raises(SnapshotError, match="no name of a version"):
        Exchange(url).current()


def test_a_follower_takes_what_is_new_and_what_is_gone_back_to(builder: Builder, url: str, here: Path) -> None:
    follower = Follower(Exchange(url), here, keep=3)
    assert follower.look() is None
    first = builder.publish(1)
    assert follower.look() is None
    assert store.current(here) == first
    second = builder.publish(2)
    assert follower.look() is None
    assert store.current(here) == second
    builder.exchange.point(first)
    assert follower.look() is None
    assert store.current(here) == first


def test_a_follower_comes_back_to_a_damaged_version_less_and_less_often_but_sees_a_better_one_at_once(
    builder: Builder, url: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    class Counting(Exchange):
        def fetch(self, version: str, folder: Path) -> None:
            fetched.append(version)
            super().fetch(version, folder)

    monkeypatch.setattr(follower_module, "LOOK_SECONDS", 3600.0)
    bad = builder.publish(1)
    content = builder.read(bad, "users.id.npy")
    builder.put(bad, "users.id.npy", bytes(len(content)))
    follower = Follower(Counting(url), here, keep=3)
    for _ in range(3):
        assert "users.id.npy is not what was published" in str(follower.look())
    assert fetched == [bad]
    good = builder.publish(2)
    assert follower.look() is None
    assert fetched == [bad, good]


def test_a_store_that_is_away_is_named_without_its_secrets(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    for name, value in (s3.environment | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SnapshotError, match="SNAPSHOT_URL s3://snapshots/x cannot be used") as caught:
        Exchange("s3://snapshots/x").current()
    assert "secret-of-s3" not in str(caught.value)


def test_a_folder_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shutil.copy(tmp_path / "file", tmp_path / "other")
    store.write(sealed(1), tmp_path / "builder")
    with pytest.raises(SnapshotError, match=r"SNAPSHOT_URL .*/file cannot be used"):
        Exchange(str(tmp_path / "file")).push(tmp_path / "builder", sealed(1).manifest.version)


@pytest.mark.parametrize("url", ["nosuch://me:open-sesame@there/x", "ftp://me:open-sesame@127.0.0.1:1/x"])
def test_a_url_that_cannot_be_opened_is_a_wrong_setting_and_tells_no_secret(url: str) -> None:
    with pytest.raises(SettingsError, match="SNAPSHOT_URL: ") as caught:
        Exchange(url)
    assert "open-sesame" not in str(caught.value)
