"""What `manifest.json` of a snapshot holds."""

from dataclasses import fields

import msgspec

from talentfeed.contracts import SCHEMA_VERSION, Manifest, Snapshot
from talentfeed.errors import SnapshotError
from talentfeed.evidence import Blend, Signals

OLDEST = 1  # schema that is read: of before there were signals


class Numbers(msgspec.Struct):
    """What of the signals is no array."""

    prior: tuple[float, float]
    confidence: float
    blend: Blend


class Stored(msgspec.Struct):
    """The manifest and the numbers that are no array."""

    manifest: Manifest
    n_creators: int
    signals: Numbers | None = None


SIGNAL_ARRAYS = tuple(f.name for f in fields(Signals) if f.name not in Numbers.__struct_fields__)


def encoded(snapshot: Snapshot) -> bytes:
    """`manifest.json` of a snapshot."""
    found = snapshot.signals
    numbers = None if found is None else Numbers(*(getattr(found, name) for name in Numbers.__struct_fields__))
    return msgspec.json.encode(Stored(snapshot.manifest, snapshot.n_creators, numbers))


class _Schema(msgspec.Struct):
    schema_version: int


class _AnySchema(msgspec.Struct):
    """What a `manifest.json` of any schema says of itself."""

    manifest: _Schema


def stored(content: bytes, home: object) -> Stored:
    """Decode a `manifest.json`; `home` is told in errors.

    Raises SnapshotError where it is damaged or of another schema.
    """
    try:
        found = msgspec.json.decode(content, type=_AnySchema).manifest.schema_version
        if not OLDEST <= found <= SCHEMA_VERSION:
            way_out = "upgrade this program" if found > SCHEMA_VERSION else "`talentfeed build` makes one that it reads"
            raise SnapshotError(f"{home}: schema {found}, this program reads {SCHEMA_VERSION}; {way_out}")
        return msgspec.json.decode(content, type=Stored)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"{home}: damaged: {error}; `talentfeed build` makes a whole one") from error
