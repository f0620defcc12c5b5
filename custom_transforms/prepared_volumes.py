"""Prepared volumes of MRI patients: image and label, slice by slice on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
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


@dataclass(frozen=True)
class SliceFile:
    """Where the slices of an array lie on disk; no file stays open, of which a process may have about a thousand."""

    path: str
    offset: int  # bytes before the first slice
    dtype: np.dtype[Any]
    shape: tuple[int, ...]  # of one slice

    def __getitem__(self, number: int) -> NDArray[Any]:
        """Read one slice.

        Raises:
            OSError, ValueError: the file is gone or cut.
        """
        count = prod(self.shape)
        offset = self.offset + int(number) * count * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, count, offset=offset).reshape(self.shape)


class VolumeSlices(NamedTuple):
    """One patient's slices, which of them hold brain and tumour, and the name of the case."""

    image: SliceFile | NDArray[np.float16]
    label: SliceFile | NDArray[np.uint8]
    with_brain: NDArray[np.int64]
    with_tumour: NDArray[np.int64]
    case: str


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

    def __init__(
        self, data: Sequence[Mapping[str, Any]], transform: Callable[[Any], Any], cache_dir: str | Path | None
    ) -> None:
        super().__init__(data, transform, cache_dir)
        self._slices: dict[Path, VolumeSlices] = {}

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a whole volume."""
        volume = self.volume(index)
        image, label = (torch.from_numpy(np.array(part)).movedim(0, -1) for part in (volume.image, volume.label))
        return {"image": image.float(), "label": label, "case": case_name(self.data[index])}

    def volume(self, index: int) -> Volume:
        """Open a patient's arrays without reading them, preparing them first where that was not done."""
        return Volume(**self.arrays(index))

    def slices(self, index: int) -> VolumeSlices:
        """Tell where a patient's slices lie; the files are opened for it once, and prepared first if need be."""
        if self.cache_dir is None:
            return VolumeSlices(*self.volume(index), case_name(self.data[index]))
        folder = self.folder(index)
        if folder not in self._slices:
            volume = self.volume(index)
            self._slices[folder] = VolumeSlices(
                image=_slice_file(folder / "image.npy", volume.image),
                label=_slice_file(folder / "label.npy", volume.label),
                with_brain=np.array(volume.with_brain),
                with_tumour=np.array(volume.with_tumour),
                case=case_name(self.data[index]),
            )
        return self._slices[folder]

    def forget_slices(self, index: int) -> None:
        """Open a patient's files again when they are next asked for, as where one is gone."""
        self._slices.pop(self.folder(index), None)

    def to_arrays(self, prepared: Mapping[str, Any]) -> Arrays:
        """Put slices first, and note which of them hold brain and which tumour."""
        image, label = (np.moveaxis(np.asarray(prepared[key]), -1, 0) for key in ("image", "label"))
        with_brain, with_tumour = (np.flatnonzero(part.any(axis=(1, 2, 3))) for part in (image, label))
        return Volume(image.astype(np.float16), label.astype(np.uint8), with_brain, with_tumour)._asdict()


def _slice_file(path: Path, array: NDArray[Any]) -> SliceFile:
    """Note where `array`, which a file ends with, has its slices."""
    return SliceFile(str(path), path.stat().st_size - array.nbytes, array.dtype, array.shape[1:])
