"""Where snapshots travel: one builder publishes, others fetch. Anything that fsspec opens: a shared volume, S3.

    <url>/<version>/<part>.<array>.npy, then <url>/<version>/manifest.json, then <url>/CURRENT; <url>/weights.json

A version is there once its manifest is, and is fetched when CURRENT names it; whoever fetches compares every file with
its checksum. Nothing is mapped from here: what is removed here never disappears under a server.
"""

import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talentfeed.contracts import Manifest
from talentfeed.errors import SettingsError, SnapshotError
from talentfeed.snapshot import manifests, store, weights

_SECONDS = {"connect_timeout": 5, "read_timeout": 20}
_USER = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One version as it is listed."""

    manifest: Manifest
    at: float  # when it was published, seconds since 1970 UTC
    bytes: int


class Exchange:
    """A place by its URL. Methods raise SnapshotError where it cannot be reached, or what is there is not whole."""

    def __init__(self, url: str) -> None:
        """Raises SettingsError for a URL that nothing here opens."""
        import fsspec

        self.shown = _USER.sub("…@", url)  # without who we are there
        options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
        if url.startswith(("s3:", "s3a:")):
            options["config_kwargs"] = _SECONDS
        try:
            self._fs, root = fsspec.url_to_fs(url, **options)
        except (ImportError, ValueError, OSError, TypeError) as error:
            raise SettingsError(
                f"SNAPSHOT_URL: {self.shown} cannot be opened: {error}; give a folder, or s3://bucket/prefix "
                "with the extra `s3` installed"
            ) from error
        self._root = root.rstrip("/")
        self._is_folder = "file" in (
            self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        )

    def current(self) -> str | None:
        """The version to serve; None where none was published."""
        try:
            text = self._fs.cat_file(f"{self._root}/{store.POINTER}").decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._away(error) from error
        return store.checked(text) if text else None

    def manifest(self, version: str) -> Manifest:
        """What a version says of itself."""
        home = f"{self._root}/{store.checked(version)}"
        try:
            content = self._fs.cat_file(f"{home}/{store.MANIFEST}")
        except FileNotFoundError as error:
            raise SnapshotError(
                f"{self.shown}/{version}: there is no such snapshot, or it is half written; `talentfeed build` "
                "publishes a whole one"
            ) from error
        except Exception as error:
            raise self._away(error) from error
        found = manifests.stored(content, f"{self.shown}/{version}").manifest
        if found.version != version:
            raise SnapshotError(f"{self.shown}/{version}: it is version {found.version} under another name")
        return found

    def versions(self) -> list[Published]:
        """All that are there and can be read, the last published last."""
        found = []
        for name in self._names():
            try:
                manifest = self.manifest(name)
                files = self._files(name)
            except SnapshotError:
                continue  # half written, or of another schema
            at = self._fs.modified(f"{self._root}/{name}/{store.MANIFEST}").timestamp()
            found.append(Published(manifest=manifest, at=at, bytes=sum(files.values())))
        return sorted(found, key=lambda one: (one.at, one.manifest.version))

    def push(self, folder: Path, version: str, *, force: bool = False) -> None:
        """Publish a version that is in `folder`, and make it the current one. What is there already stays; with
        `force` every file is written again."""
        home = folder / store.checked(version)
        try:
            there = {} if force else self._files(version)
            self._fs.makedirs(f"{self._root}/{version}", exist_ok=True)
            files = sorted(file for file in home.iterdir() if file.name != store.MANIFEST)
            wanted = [file for file in files if there.get(file.name) != file.stat().st_size]
            self._fs.put([str(file) for file in wanted], [f"{self._root}/{version}/{file.name}" for file in wanted])
            self._put(f"{version}/{store.MANIFEST}", (home / store.MANIFEST).read_bytes())
        except Exception as error:
            raise self._away(error) from error
        self.point(version)

    def point(self, version: str) -> None:
        """Make a version that is there the current one."""
        self.manifest(version)
        try:
            self._put(store.POINTER, f"{version}\n".encode("ascii"))
        except Exception as error:
            raise self._away(error) from error

    def fetch(self, version: str, folder: Path) -> None:
        """Bring a version into `folder`, checked file by file. One that is there whole already stays as it is."""
        target = folder / store.checked(version)
        if target.exists():
            try:
                store.load(folder, version, verify=True)
            except SnapshotError:
                pass  # fetched anew
            else:
                return
        wanted = {*self.manifest(version).checksums, store.MANIFEST}
        draft = folder / f".fetching-{version}-{secrets.token_hex(4)}"
        try:
            draft.mkdir(parents=True)
            names = [name for name in self._files(version) if name in wanted]
            self._fs.get([f"{self._root}/{version}/{name}" for name in names], [str(draft / name) for name in names])
            store.load_from(draft, f"{self.shown}/{version}", verify=True)
            store.install(draft, target)
        except SnapshotError:
            raise
        except Exception as error:
            raise self._away(error) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def weights(self) -> bytes | None:
        """What was fitted, for builders anywhere; None where nothing was left."""
        try:
            found: bytes = self._fs.cat_file(f"{self._root}/{weights.FILE}")
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._away(error) from error
        return found

    def leave_weights(self, content: bytes) -> None:
        """Have the next build take these, wherever it runs."""
        try:
            self._put(weights.FILE, content)
        except Exception as error:
            raise self._away(error) from error

    def prune(self, keep: int) -> list[str]:
        """Remove all but the `keep` last published versions and the current one. → what was removed."""
        current = self.current()
        gone = [one.manifest.version for one in self.versions()[:-keep] if one.manifest.version != current]
        for version in gone:
            try:
                self._fs.rm_file(f"{self._root}/{version}/{store.MANIFEST}")  # first: no half of it is ever listed
                self._fs.rm(f"{self._root}/{version}", recursive=True)
            except Exception as error:
                raise self._away(error) from error
        return gone

    # ------------------------------------------------------------

    def _names(self) -> list[str]:
        try:
            entries = self._fs.ls(self._root, detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._away(error) from error
        names = [entry["name"].rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == "directory"]
        return [name for name in names if not name.startswith(".")]

    def _files(self, version: str) -> dict[str, int]:
        """Name → size."""
        try:
            entries = self._fs.ls(f"{self._root}/{version}", detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise self._away(error) from error
        return {entry["name"].rpartition("/")[2]: entry["size"] for entry in entries if entry["type"] == "file"}

    def _put(self, name: str, content: bytes) -> None:
        """An object store writes it whole or not at all; in a folder it appears by a rename."""
        if not self._is_folder:
            self._fs.pipe_file(f"{self._root}/{name}", content)
            return
        draft = f"{self._root}/.{name.replace('/', '-')}-{secrets.token_hex(4)}"
        self._fs.makedirs(self._root, exist_ok=True)
        self._fs.pipe_file(draft, content)
        self._fs.mv(draft, f"{self._root}/{name}")

    def _away(self, error: Exception) -> SnapshotError:
        if isinstance(error, SnapshotError):
            return error
        told = str(error).replace(self._root, self.shown) or type(error).__name__
        return SnapshotError(
            f"SNAPSHOT_URL {self.shown} cannot be used: {type(error).__name__}: {told}; what is served goes on"
        )


def bring(exchange: Exchange, folder: Path, *, keep: int) -> Manifest:
    """Have the exchange's current version here and make it the current one here. Raises SnapshotError."""
    version = exchange.current()
    if version is None:
        raise SnapshotError(f"{exchange.shown}: nothing is published there; `talentfeed build` publishes")
    exchange.fetch(version, folder)
    if store.try_current(folder) != version:
        store.point(folder, version)
    store.prune(folder, keep=keep)
    return store.load(folder, version).manifest
