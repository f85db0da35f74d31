"""What is handed to the compiled part of the kernel."""

from pathlib import Path

import numpy as np
import pytest

from talentfeed.ranking import native


@pytest.mark.parametrize("length", [0, 1, 7, 100_000])
def test_an_array_begins_where_numpy_says(length: int) -> None:
    whole = np.arange(length, dtype=np.int32)
    frozen = whole.copy()
    frozen.flags.writeable = False
    for array in (whole, frozen, whole[length // 2 :], whole.view(np.uint8), np.zeros((length, 3))[:, 1]):
        assert native.address(array) == array.ctypes.data


def test_a_mapped_array_begins_where_numpy_says(tmp_path: Path) -> None:
    np.save(tmp_path / "mapped.npy", np.arange(1_000))
    mapped = np.load(tmp_path / "mapped.npy", mmap_mode="r")
    assert native.address(mapped) == mapped.ctypes.data
    assert native.address(mapped.view(np.ndarray)[10:]) == mapped.ctypes.data + 80
