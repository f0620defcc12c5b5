"""Small CT series in any orientation, and what lies where in them, worked out from their tags alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ct_files import SHAPE, stored_slices, tilted, write_series
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

COUNT = 5
TURNED = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]  # any rotation or reflection
TURNED[2] = np.cross(TURNED[0], TURNED[1])
FIRST_MM = np.array([-30.5, 12.25, -7.0])
# Direction cosines of rows and columns, and the way from one slice to the next in mm, LPS
ORIENTATIONS: dict[str, tuple[list[float], list[float]]] = {
    "axial": ([1, 0, 0, 0, 1, 0], [0, 0, 5]),
    "axial_prone_downwards": ([-1, 0, 0, 0, -1, 0], [0, 0, -4]),
    "coronal": ([1, 0, 0, 0, 0, -1], [0, 5, 0]),
    "sagittal": ([0, 1, 0, 0, 0, -1], [-3, 0, 0]),
    "oblique": ([*TURNED[0].round(6), *TURNED[1].round(6)], [*(4 * TURNED[2]).round(6)]),
    "tilted": (tilted(18.5), [0, 0, 5]),
}


def write_oriented(folder: Path, orientation: str, **tags: object) -> list[Dataset]:
    """Write a series of 5 slices of 6x8 pixels of 0.8x0.6 mm; give its images in order of the way."""
    cosines, step_mm = ORIENTATIONS[orientation]

    def change(image: Dataset, index: int) -> None:
        image.ImageOrientationPatient = cosines
        image.ImagePositionPatient = [round(float(part), 6) for part in FIRST_MM + index * np.array(step_mm)]

    write_series(folder, stored_slices(COUNT), change=change, **tags)
    return sorted((dcmread(file) for file in folder.iterdir()), key=lambda image: int(image.InstanceNumber))


def positions_mm(image: Dataset) -> NDArray[np.float64]:
    """Where each pixel of a slice lies, LPS, `(R, C, 3)`: PS3.3 C.7.6.2.1.1, pixel by pixel."""
    along_row, along_column = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = map(float, image.PixelSpacing)
    first = np.array(image.ImagePositionPatient, float)
    found = [
        [first + column * between_columns * along_row + row * between_rows * along_column for column in range(SHAPE[1])]
        for row in range(SHAPE[0])
    ]
    return np.array(found)
