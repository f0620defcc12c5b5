"""Join the h5 slices of the Kaggle copy of BraTS 2020 to volumes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from custom_transforms.refusal import RefusedError

# The copy stores arrays alone. BraTS volumes are 1 mm and LPS; their slices were taken along the last axis unflipped.
BRATS_AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])


def read_h5_slices(pattern: str | Path, dataset: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read one data set of every slice that a pattern names, in the order of the slice numbers.

    Args:
        pattern: path with one `*` for the slice number, as `data/volume_1_slice_*.h5`.
        dataset: `image` `(H, W, 4)` or `mask` `(H, W, 3)`.

    Returns:
        volume `(H, W, S, C)` and the affine of BraTS volumes, which the copy does not carry. Images are shifted so
        that the lowest value of each slice and channel is 0: where slices were standardised one by one, the empty
        background, which later steps know by its 0, has another value in each; where they were not, it is 0 already.

    Raises:
        RefusedError: no slice, a gap in the slice numbers, an unreadable file, or h5py is not installed.
    """
    pattern = Path(pattern)
    try:
        import h5py
    except ModuleNotFoundError as error:
        expected = "h5py to be installed (pip install 'neuro-oncology-bundles[h5]')"
        raise RefusedError.of("missing_extra", pattern.name, expected=expected, got="none") from error

    def read(file: Path) -> NDArray[np.float32]:
        try:
            with h5py.File(file, "r") as handle:
                return np.asarray(handle[dataset], dtype=np.float32)
        except (OSError, KeyError) as error:
            raise RefusedError.of("unreadable_h5", file.name, expected=f"a data set '{dataset}'", got="none") from error

    slices = [read(file) for file in _in_order(pattern)]
    if len({part.shape for part in slices}) != 1 or slices[0].ndim != 3:
        raise RefusedError.of("slices_differ", pattern.name, expected="slices of one shape (H, W, C)", got="several")
    if dataset == "image":
        slices = [part - part.min(axis=(0, 1)) for part in slices]
    return np.stack(slices, axis=2), BRATS_AFFINE.copy()


def _in_order(pattern: Path) -> list[Path]:
    before, after = pattern.name.split("*")
    name = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    numbered = {int(m[1]): file for file in pattern.parent.glob(pattern.name) if (m := name.fullmatch(file.name))}
    if not numbered:
        raise RefusedError.of("missing_file", pattern.name, expected="h5 slices", got="none")
    missing = sorted(set(range(max(numbered) + 1)) - set(numbered))
    if missing:
        raise RefusedError.of(
            "missing_slice", pattern.name, expected=f"slices 0 to {max(numbered)}", got=f"no {missing[:5]}"
        )
    return [numbered[number] for number in sorted(numbered)]
