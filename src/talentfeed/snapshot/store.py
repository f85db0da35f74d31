"""A snapshot as a folder of `.npy` files and a manifest: publish, load, point, prune. DESIGN, decision 1.

`folder/<version>/<part>.<array>.npy`, `folder/<version>/manifest.json`, and `folder/CURRENT` which names the version
that is served. A version appears by one rename and becomes current by another, so no reader sees half of anything.
What serves imports this module: NumPy and msgspec only.
"""

import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from talentfeed import files
from talentfeed.contracts import Flows, Manifest, Skills, Snapshot, Users, Videos
from talentfeed.errors import SnapshotError
from talentfeed.evidence import Signals
from talentfeed.snapshot import manifests
from talentfeed.snapshot.manifests import SIGNAL_ARRAYS, Numbers

MANIFEST, POINTER = "manifest.json", "CURRENT"
ABANDONED_SECONDS = 3_600.0  # nothing is half made for so long
_PARTS: dict[str, type[Any]] = {"videos": Videos, "flows": Flows, "users": Users}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


def arrays(snapshot: Snapshot) -> Iterator[tuple[str, NDArray[Any]]]:
    """(file name, array) of all that a snapshot holds, in a fixed order."""
    for part, cls in _PARTS.items():
        for f in fields(cls):
            yield f"{part}.{f.name}.npy", getattr(getattr(snapshot, part), f.name)
    yield "skills.similarity.npy", snapshot.skills.similarity
    if snapshot.signals is not None:
        for name in SIGNAL_ARRAYS:
            yield f"signals.{name}.npy", getattr(snapshot.signals, name)


def _npy(array: NDArray[Any]) -> tuple[bytes, NDArray[Any]]:
    """(header, data) of a `.npy` file: the same bytes for the same array."""
    array = np.ascontiguousarray(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return header.getvalue(), array


def _sha256(array: NDArray[Any]) -> str:
    header, data = _npy(array)
    digest = hashlib.sha256(header)
    digest.update(data.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def checksums(snapshot: Snapshot) -> dict[str, str]:
    """File name → sha256 of what it holds or would hold."""
    return {name: _sha256(array) for name, array in arrays(snapshot)}


def seal(snapshot: Snapshot) -> Snapshot:
    """The same snapshot with checksums and a version made of its watermark and content. The version it has is dropped.

    What was skipped is no part of the version: the same catalogue is the same version.
    """
    manifest = replace(snapshot.manifest, checksums=checksums(snapshot), version="", skipped={})
    content = hashlib.sha256(manifests.encoded(replace(snapshot, manifest=manifest))).hexdigest()
    day = np.datetime64(int(manifest.watermark), "s").item().strftime("%Y%m%dT%H%M%SZ")
    named = replace(manifest, version=f"{day}-{content[:12]}", skipped=snapshot.manifest.skipped)
    return replace(snapshot, manifest=named)


def publish(snapshot: Snapshot, folder: Path) -> Manifest:
    """Write a snapshot and make it the current one. A version that is there already, whole, is only made current.

    Raises SnapshotError where it cannot be written, or its arrays are not those of its checksums.
    """
    manifest = write(snapshot, folder)
    try:
        point(folder, manifest.version)
    except OSError as error:
        raise SnapshotError(
            f"{folder / POINTER}: cannot be written: {error.strerror}; the current one stays"
        ) from error
    return manifest


def write(snapshot: Snapshot, folder: Path) -> Manifest:
    """Write a snapshot without making it the current one; it is then the last of `versions`. Raises as `publish`."""
    manifest = snapshot.manifest
    sums = checksums(snapshot)
    if manifest.checksums and dict(manifest.checksums) != sums:
        raise SnapshotError(f"{checked(manifest.version)}: its arrays changed after it was sealed; build it again")
    manifest = replace(manifest, checksums=sums)
    target = folder / checked(manifest.version)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if _is_whole(folder, manifest):
            os.utime(target / MANIFEST)
        else:
            _write(replace(snapshot, manifest=manifest), folder, target)
    except OSError as error:
        raise SnapshotError(f"{target}: cannot be written: {error.strerror}; the current one stays") from error
    return manifest


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    if not (folder / manifest.version).exists():
        return False
    try:
        return load(folder, manifest.version, verify=True).manifest.checksums == manifest.checksums
    except SnapshotError:
        return False


def _write(snapshot: Snapshot, folder: Path, target: Path) -> None:
    making = folder / f".making-{target.name}-{secrets.token_hex(4)}"
    making.mkdir()
    try:
        for name, array in arrays(snapshot):
            header, data = _npy(array)
            files.put(making / name, header, data.reshape(-1).view(np.uint8).data)
        files.put(making / MANIFEST, manifests.encoded(snapshot))
        files.sync(making)
        install(making, target)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def install(draft: Path, target: Path) -> None:
    """Give a whole version its name, in place of a damaged one of that name. Raises OSError."""
    if target.exists():  # and damaged, else it would not be written again
        target.rename(target.with_name(f".damaged-{target.name}-{secrets.token_hex(4)}"))
    try:
        draft.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # another process installed the same meanwhile
            raise
    files.sync(target.parent)


def checked(version: str) -> str:
    """A version's name, fit for a path. Raises SnapshotError for any other."""
    if not _NAME.fullmatch(version):
        raise SnapshotError(f"{version!r} is no name of a version: letters, digits, `.`, `_` and `-` only")
    return version


def current(folder: Path) -> str | None:
    """The version that is served; None where none was published. Raises SnapshotError where it cannot be read."""
    try:
        return (folder / POINTER).read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SnapshotError(
            f"{folder / POINTER} cannot be read ({error}); `talentfeed build` writes it anew"
        ) from error


def try_current(folder: Path) -> str | None:
    """As `current`, but None where it cannot be read."""
    try:
        return current(folder)
    except SnapshotError:
        return None


def point(folder: Path, version: str) -> None:
    """Make a published version the current one, such as to roll back. Raises SnapshotError where it is not there."""
    if not (folder / checked(version) / MANIFEST).is_file():
        raise SnapshotError(f"{folder / version}: there is no such snapshot; there are: {', '.join(versions(folder))}")
    files.replaced(folder / POINTER, f"{version}\n".encode("ascii"))


def versions(folder: Path) -> list[str]:
    """All published versions, the last published last."""
    if not folder.is_dir():
        return []
    found = [entry for entry in folder.iterdir() if not entry.name.startswith(".") and (entry / MANIFEST).is_file()]
    return [entry.name for entry in sorted(found, key=lambda e: ((e / MANIFEST).stat().st_mtime_ns, e.name))]


def prune(folder: Path, keep: int = 3) -> list[str]:
    """Delete all but the `keep` last published versions and the current one; returns what was deleted.

    Who has one open keeps it: mapped files outlive their names.
    """
    stay = {*versions(folder)[-keep:], current(folder)} if keep > 0 else {current(folder)}
    gone = [version for version in versions(folder) if version not in stay]
    for version in gone:
        hidden = folder / f".gone-{version}-{secrets.token_hex(4)}"
        (folder / version).rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
    for left in [found for kind in ("making", "gone", "damaged", "fetching") for found in folder.glob(f".{kind}-*")]:
        if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
    return gone


def withdraw(folder: Path) -> None:
    """Publish nothing, because what was built from is gone; the versions stay, for `point`."""
    (folder / POINTER).unlink(missing_ok=True)


def load(folder: Path, version: str | None = None, *, verify: bool = False) -> Snapshot:
    """Map a snapshot, the current one by default. Arrays are read-only and shared by all who map them.

    verify: compare every file with its checksum, which reads all of it.
    Raises SnapshotError where it is absent, damaged, or of a newer schema.
    """
    chosen = version or current(folder)
    if chosen is None:
        raise SnapshotError(f"{folder}: there is no snapshot; `talentfeed build` makes one")
    home = folder / checked(chosen)
    return load_from(home, home, verify=verify)


def load_from(home: Path, shown: object, *, verify: bool = False) -> Snapshot:
    """Map the snapshot in this very folder; errors tell `shown` in its place. Raises as `load`."""
    try:
        stored = manifests.stored((home / MANIFEST).read_bytes(), shown)
        parts = {part: cls(**{f.name: _map(home, part, f.name) for f in fields(cls)}) for part, cls in _PARTS.items()}
        similarity = _map(home, "skills", "similarity")
        signals = None if stored.signals is None else _map_signals(home, stored.signals)
    except FileNotFoundError as error:
        raise SnapshotError(
            f"{shown}: {Path(str(error.filename)).name} is missing; `talentfeed build` makes a whole one"
        ) from error
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{shown}: damaged: {error}; `talentfeed build` makes a whole one") from error
    snapshot = Snapshot(
        manifest=stored.manifest,
        skills=Skills(n=len(similarity), similarity=similarity),
        n_creators=stored.n_creators,
        signals=signals,
        **parts,
    )
    _match(shown, snapshot, verify=verify)
    return snapshot


def _map_signals(home: Path, numbers: Numbers) -> Signals:
    found: dict[str, Any] = {name: _map(home, "signals", name) for name in SIGNAL_ARRAYS}
    return Signals(**found, **msgspec.structs.asdict(numbers))


def _map(home: Path, part: str, name: str) -> NDArray[Any]:
    file = home / f"{part}.{name}.npy"
    try:
        mapped: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{file.name} is not what was published: {error}") from error
    return mapped.view(np.ndarray)


def _match(home: object, snapshot: Snapshot, *, verify: bool) -> None:
    counts = snapshot.manifest.counts
    for part, found in (("videos", snapshot.videos), ("flows", snapshot.flows), ("users", snapshot.users)):
        if counts.get(part, len(found.id)) != len(found.id):
            raise SnapshotError(f"{home}: damaged: {len(found.id)} {part} where its manifest says {counts[part]}")
    if set(snapshot.manifest.checksums) != {name for name, _ in arrays(snapshot)}:
        raise SnapshotError(f"{home}: damaged: its manifest does not list the files it should have")
    if verify:
        for name, array in arrays(snapshot):
            if _sha256(array) != snapshot.manifest.checksums[name]:
                raise SnapshotError(f"{home}: damaged: {name} is not what was published; `talentfeed build` mends it")
