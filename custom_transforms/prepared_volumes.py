"""Prepared volumes of MRI patients: image and label, slice by slice on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from custom_transforms.mri_study import case_name
from custom_transforms.prepared_folder import Arrays
from custom_transforms.prepared_items import PreparedItems


class Volume(NamedTuple):
    """One patient's prepared arrays, slices first so that one slice is one stretch of the file."""

    image: NDArray[np.float16]  # (S, C, X, Y)
    label: NDArray[np.uint8]  # (S, R, X, Y), 0 or 1
    with_brain: NDArray[np.int64]  # numbers of the slices whose image is not 0 everywhere
    with_tumour: NDArray[np.int64]  # numbers of the slices whose label is not


class PreparedVolumes(PreparedItems):
    """A data set of whole volumes that are computed on first use and then read from disk.

    Args:
        data: items with `image`, `label` and, where there is one, `case`.
        transform: deterministic steps from item to `image` `(C, X, Y, S)` and `label` `(R, X, Y, S)`.
        cache_dir: folder of the prepared files. One patient of 240x240x155 takes 71 MB of float16 for four
            modalities (relative rounding 2**-11, far below the noise of MRI) and 9 MB a region.

    Returns (by index):
        `image` `(C, X, Y, S)` float32, `label` `(R, X, Y, S)` uint8 and `case`.
    """

    ARRAYS = Volume._fields
    FILES = ("image", "label")

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a whole volume."""
        volume = self.volume(index)
        image, label = (torch.from_numpy(np.array(part)).movedim(0, -1) for part in (volume.image, volume.label))
        return {"image": image.float(), "label": label, "case": case_name(self.data[index])}

    def volume(self, index: int) -> Volume:
        """Open a patient's arrays without reading them, preparing them first where that was not done."""
        return Volume(**self.arrays(index))

    def to_arrays(self, prepared: Mapping[str, Any]) -> Arrays:
        """Put slices first, and note which of them hold brain and which tumour."""
        image, label = (np.moveaxis(np.asarray(prepared[key]), -1, 0) for key in ("image", "label"))
        with_brain, with_tumour = (np.flatnonzero(part.any(axis=(1, 2, 3))) for part in (image, label))
        return Volume(image.astype(np.float16), label.astype(np.uint8), with_brain, with_tumour)._asdict()
