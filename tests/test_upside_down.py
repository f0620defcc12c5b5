"""A head that stands upside down is warned of; one that stands right is not."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from head_files import check, head_values, pixel_mm
from numpy.typing import NDArray

from custom_transforms.ct_study import read_ct
from custom_transforms.upside_down import looks_upside_down
from data_lists.phantom_ct import make_head

WARNING = "the head seems to stand upside down: the air of its base lies at the top"


def both_ways(hu: NDArray[np.float32], side_mm: float, positions_mm: NDArray[np.float64]) -> tuple[bool, bool]:
    """Judge a head as it is, and turned over."""
    over = hu[::-1], side_mm, positions_mm[0] + positions_mm[-1] - positions_mm[::-1]
    return looks_upside_down(hu, side_mm, positions_mm), looks_upside_down(*over)


@pytest.mark.parametrize("index", range(22))
def test_phantom_is_told_from_itself_turned_over(index: int) -> None:
    head = make_head(index, matrix=128)
    judged = both_ways(head.hu.astype(np.float32), head.scanner.pixel_mm, head.slice_positions_mm)
    assert judged == (False, True)


def test_real_head_is_told_from_itself_turned_over(real_scans: Path) -> None:
    volume = read_ct(real_scans / "head_ct_ge")
    side_mm = float(np.linalg.norm(volume.affine[:3, 0]))
    assert both_ways(volume.hu, side_mm, volume.slice_positions_mm) == (False, True)


@pytest.mark.parametrize("over", [False, True])
def test_study_that_stands_upside_down_is_fit_with_a_warning(tmp_path: Path, over: bool) -> None:
    values = (head_values()[::-1] if over else head_values()).transpose(2, 1, 0)
    nib.save(nib.Nifti1Image(values, np.diag([-pixel_mm(), -pixel_mm(), 5, 1])), tmp_path / "head.nii.gz")
    assert check(tmp_path / "head.nii.gz").warnings == ((WARNING,) if over else ())


def test_head_without_air_inside_says_nothing() -> None:
    full = np.full((20, 100, 100), -1000, np.float32)
    full[2:18, 20:80, 20:80] = 40
    assert both_ways(full, 2.0, 5.0 * np.arange(20)) == (False, False)
