"""The blend that snapshots rank by: the last one fitted, which lies beside them, else one of public data."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np

from talentfeed import files
from talentfeed.errors import SnapshotError
from talentfeed.evidence import Blend
from talentfeed.ranking.sound_signals import blend_faults

FILE = "weights.json"
DEFAULT = "default"

# What `talentfeed fit` finds with seed 0 on the first four fifths, by time, of KuaiRand-Pure (Gao et al., CIKM 2022):
# 960,000 rows of short videos and 27,000 viewers.
BLEND = Blend(
    warm={
        "popularity_12h": 0.065,
        "popularity_3d": 0.714,
        "shown": -0.653,
        "worth": 0.754,
        "als": 4.257,
        "co_view": 0.974,
    },
    cold={"popularity_12h": 0.361, "popularity_3d": 0.553, "shown": 0.229, "worth": 1.198},
    warm_level=3.552,
    cold_level=-4.823,
    taste={"skill_similarity": 0.165, "extended_match": 1.039},
    taste_level=-0.082,
)  # nobody there has a profile: what it weighs stays at the prior


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """A blend and where it is from. As JSON it is the file's content."""

    name: str  # made of `until` and the blend
    blend: Blend
    rows: int = 0  # it was fitted on
    until: float = 0.0  # newest time among them, seconds UTC


def newest(folder: Path) -> Weights:
    """The weights left in this folder; without any, those of BLEND.

    Raises SnapshotError where they cannot be read or are no blend.
    """
    path = folder / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Weights)
        _check(found.blend)
    except FileNotFoundError:
        return Weights(name=DEFAULT, blend=BLEND)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise SnapshotError(
            f"{path}: no weights: {error}; `talentfeed fit` writes them anew, without the file the default is used"
        ) from error
    return found


def leave(folder: Path, blend: Blend, *, rows: int, until: float) -> Weights:
    """Write the weights that the next build takes, whole or not at all.

    Raises ValueError where the blend is none, SnapshotError where it cannot be written.
    """
    _check(blend)
    day = np.datetime64(int(until), "s").item().strftime("%Y%m%dT%H%M%SZ")
    name = f"{day}-{hashlib.sha256(msgspec.json.encode(blend)).hexdigest()[:12]}"
    found = Weights(name=name, blend=blend, rows=rows, until=until)
    try:
        files.replaced(folder / FILE, msgspec.json.encode(found))
    except OSError as error:
        raise SnapshotError(f"{folder / FILE}: cannot be written: {error.strerror}; the former weights stay") from error
    return found


def _check(blend: Blend) -> None:
    wrong = [*blend_faults(blend)]
    if wrong:
        raise ValueError("; ".join(wrong))
