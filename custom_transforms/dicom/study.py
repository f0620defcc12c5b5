"""Read one CT series from a folder or a file of DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from custom_transforms.dicom.frames import CtSlice
from custom_transforms.dicom.geometry import Floats, Geometry, in_order, place, same_place
from custom_transforms.dicom.headers import read_headers
from custom_transforms.dicom.originals import is_lossy, original_slices
from custom_transforms.dicom.pixels import AIR_HU, hounsfield
from custom_transforms.dicom.series import choose_series
from custom_transforms.dicom.tags import silent_pydicom
from custom_transforms.refusal import RefusedError, warning


def read_dicom(
    path: Path, series: int | None = None
) -> tuple[NDArray[np.float32], Geometry, list[tuple[str, int]], list[str]]:
    """Read the scan of a patient.

    Args:
        path: a folder, walked through its sub-folders, or a file: a series of one slice, or an enhanced object.
        series: number of the wanted series where a folder holds several.

    Returns:
        HU `(S, R, C)` from the feet to the head, air and padding -1024; where the slices lie; the SOPInstanceUID of
        each slice's object and its number as a frame of it, from 1; notes on what was left out or mended.

    Raises:
        RefusedError: see the modules that this builds on, one for each step below.
    """
    name = "." if path.is_dir() else path.name
    with silent_pydicom():
        sources, notes = read_headers(path)
        planes, left_out = original_slices(sources, name)
        planes, others = choose_series(planes, name, series)
        planes, positions_mm = in_order(planes, name)
        again = same_place(positions_mm)
        hu = hounsfield(planes, name, least_hu=-np.inf if again else AIR_HU)  # copies must agree below air, too
        planes, positions_mm, hu, copies = _without_copies(planes, positions_mm, hu)
        geometry = place(planes, positions_mm, name)
    lossy = ["lossy compression"] * any(is_lossy(plane) for plane in planes)
    frames = [(plane.tags.word("SOPInstanceUID"), plane.frame + 1) for plane in planes]
    notes = [*notes, *left_out, *others, *copies, *geometry.notes, *lossy, *_skipped_numbers(planes)]
    return hu, geometry, frames, notes


def _skipped_numbers(planes: Sequence[CtSlice]) -> list[str]:
    """Warn where instance numbers go evenly, but not one by one: positions of overlapping slices do not tell."""
    words = [plane.tags.word("InstanceNumber") for plane in planes]
    if not all(word.isdecimal() and len(word) < 10 for word in words):
        return []
    steps = np.unique(np.diff([int(word) for word in words]))
    if len(words) < 3 or len(steps) > 1 or abs(steps[0]) < 2:
        return []
    return [warning(f"instance numbers go in steps of {abs(steps[0])}: slices may be missing")]


def _without_copies(
    planes: list[CtSlice], positions_mm: Floats, hu: NDArray[np.float32]
) -> tuple[list[CtSlice], Floats, NDArray[np.float32], list[str]]:
    """Remove exact copies of a slice; two different images at one place cannot both be right."""
    again = same_place(positions_mm)
    for index in again:
        if not np.array_equal(hu[index], hu[index - 1]):
            expected, file = "one image at each position", planes[index].tags.file
            raise RefusedError.of("two_images_one_position", file, expected=expected, got="two that differ")
    if not again:
        return planes, positions_mm, hu, []
    kept = np.setdiff1d(np.arange(len(planes)), again)
    notes = [f"{len(again)} exact copies of slices removed"]
    hu = np.maximum(hu[kept], np.float32(AIR_HU))
    return [planes[index] for index in kept], positions_mm[kept], hu, notes
