"""Weights that a fit leaves beside the snapshots."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talentfeed.errors import SnapshotError
from talentfeed.evidence import PROFILE_PRIOR
from talentfeed.ranking.sound_signals import blend_faults
from talentfeed.snapshot import weights
from talentfeed.snapshot.weights import BLEND


def test_without_a_fit_the_default_is_taken_and_it_is_sound(tmp_path: Path) -> None:
    found = weights.newest(tmp_path)
    assert (found.name, found.blend) == (weights.DEFAULT, BLEND)
    assert not [*blend_faults(BLEND)]


def test_what_was_left_is_what_is_found_and_the_name_tells_weights_apart(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    one = weights.leave(folder, BLEND, rows=7, until=1_790_000_000.5)
    assert weights.newest(folder) == one
    assert one.name.startswith("20260921T141320Z-")
    other = weights.leave(folder, replace(BLEND, warm_level=0.0), rows=7, until=1_790_000_000.5)
    assert other.name != one.name
    assert weights.newest(folder) == other
    assert [path.name for path in folder.iterdir()] == [weights.FILE]


def test_weights_of_before_profiles_were_fitted_are_read_and_get_the_prior(tmp_path: Path) -> None:
    weights.leave(tmp_path, BLEND, rows=7, until=0.0)
    stored = json.loads((tmp_path / weights.FILE).read_bytes())
    for name in ("taste", "profile", "taste_level", "profile_level"):
        del stored["blend"][name]
    (tmp_path / weights.FILE).write_text(json.dumps(stored))
    found = weights.newest(tmp_path).blend
    assert (found.warm, found.profile, found.profile_level) == (BLEND.warm, dict(PROFILE_PRIOR), 0.0)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b'{"name": "a", "blend": {"warm": {}, "cold": {}, "warm_level": 0, "cold_level": 0}}'],
)
def test_a_damaged_file_is_an_error_that_says_how_to_mend_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / weights.FILE).write_bytes(content)
    with pytest.raises(SnapshotError, match=r"weights\.json: no weights: .*talentfeed fit"):
        weights.newest(tmp_path)


def test_no_blend_is_not_written(tmp_path: Path) -> None:
    damaged: tuple[dict[str, Any], ...] = (
        {"warm": {}},
        {"profile": {}},
        {"cold_level": np.nan},
        {"taste_level": np.inf},
    )
    for wrong in (replace(BLEND, **values) for values in damaged):
        with pytest.raises(ValueError, match=r"(warm|profile) has weights of nothing|not finite"):
            weights.leave(tmp_path, wrong, rows=1, until=0.0)
    assert not [*tmp_path.iterdir()]
