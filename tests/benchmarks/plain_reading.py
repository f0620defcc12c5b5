"""Read a folder of CT slices as a research script does: pydicom, slice by slice, in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

AIR_HU = -1024


def read_hu(folder: Path) -> NDArray[np.float32]:
    """Read slices in the order of their height to Hounsfield units `(S, R, C)`, padding as air; nothing is checked."""
    images = [pydicom.dcmread(file) for file in sorted(folder.glob("*.dcm"))]
    images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    planes = []
    for image in images:
        stored = image.pixel_array.astype(np.float32)
        hu = stored * np.float32(image.RescaleSlope) + np.float32(image.RescaleIntercept)
        planes.append(np.maximum(hu, np.float32(AIR_HU)))
    return np.stack(planes)
