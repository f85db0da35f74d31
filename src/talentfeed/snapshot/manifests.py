"""What `manifest.json` of a snapshot holds."""

import msgspec

from talentfeed.contracts import SCHEMA_VERSION, Manifest
from talentfeed.errors import SnapshotError


class Stored(msgspec.Struct):
    """The manifest and the numbers that are no array."""

    manifest: Manifest
    n_creators: int


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
        if found != SCHEMA_VERSION:
            way_out = "upgrade this program" if found > SCHEMA_VERSION else "`talentfeed build` makes one that it reads"
            raise SnapshotError(f"{home}: schema {found}, this program reads {SCHEMA_VERSION}; {way_out}")
        return msgspec.json.decode(content, type=Stored)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"{home}: damaged: {error}; `talentfeed build` makes a whole one") from error
