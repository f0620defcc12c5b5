"""Write one phantom head as a CT series, with anything about it spoilt."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from ct_files import write_series
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from custom_transforms.check_study import check_study
from custom_transforms.fit_study import FitStudy
from data_lists.phantom_ct import make_head

NUMBER = 4  # of the phantom: 27 slices of 5 mm without tilt
THICKNESS_MM = 5.0
Change = Callable[[FileDataset, int], None]


@cache
def head_values() -> NDArray[np.int16]:
    """Hounsfield units `(S, R, C)`."""
    return np.maximum(make_head(NUMBER, matrix=192).hu, -1024)


def heights_mm() -> NDArray[np.float64]:
    """Position of each slice."""
    return THICKNESS_MM * np.arange(len(head_values()), dtype=np.float64)


def pixel_mm() -> float:
    return round(make_head(NUMBER, matrix=32).scanner.pixel_mm * 32 / 192, 4)


def write_head_series(
    folder: Path,
    values: NDArray[np.int16] | None = None,
    z_mm: NDArray[np.float64] | None = None,
    change: Change = lambda image, index: None,
    **tags: object,
) -> Path:
    """Write the head, or other values, to `folder`; see `ct_files.write_series`."""
    values = head_values() if values is None else values
    z_mm = heights_mm()[: len(values)] if z_mm is None else z_mm
    usual = {"PixelSpacing": [pixel_mm()] * 2, "SliceThickness": THICKNESS_MM}
    return write_series(folder, values, z_mm, change, **{**usual, **tags})


def check(path: Path) -> FitStudy:
    """Check a head CT."""
    return check_study(path, "ct")
