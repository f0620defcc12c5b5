"""Prepare each patient's volume once and read it from a memory-mapped file ever after."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ignite.distributed as idist
import monai
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from custom_transforms.fingerprint import file_states, fingerprint
from custom_transforms.mri_study import case_name

FORMAT = 1  # raise when the files of a prepared volume change, so that old ones are not read


class Volume(NamedTuple):
    """One patient's prepared arrays, slices first so that one slice is one stretch of the file."""

    image: NDArray[np.float16]  # (S, C, X, Y)
    label: NDArray[np.uint8]  # (S, R, X, Y), 0 or 1
    with_brain: NDArray[np.int64]  # numbers of the slices whose image is not 0 everywhere
    with_tumour: NDArray[np.int64]  # numbers of the slices whose label is not


class PreparedVolumes(Dataset[dict[str, Any]]):
    """A data set of whole volumes that are computed on first use and then read from disk.

    Memory stays flat however many patients there are. `monai.data.PersistentDataset` reads a whole volume for one
    slice, and does not notice changed transforms or files by itself. Files are complete or absent, so several
    processes may share a folder.

    Args:
        data: items with `image`, `label` and, where there is one, `case`.
        transform: deterministic steps from item to `image` `(C, X, Y, S)` and `label` `(R, X, Y, S)`.
        cache_dir: folder of the prepared files. One patient of 240x240x155 takes 71 MB of float16 for four
            modalities (relative rounding 2**-11, far below the noise of MRI) and 9 MB a region.

    Returns (by index):
        `image` `(C, X, Y, S)` float32, `label` `(R, X, Y, S)` uint8 and `case`.
    """

    def __init__(
        self, data: Sequence[Mapping[str, Any]], transform: Callable[[Any], Any], cache_dir: str | Path
    ) -> None:
        self.data = data
        self.transform = transform
        self.cache_dir = Path(cache_dir)
        self._folders: dict[int, Path] = {}

    def __len__(self) -> int:
        """Count patients."""
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a whole volume."""
        volume = self.volume(index)
        image, label = (torch.from_numpy(np.array(part)).movedim(0, -1) for part in (volume.image, volume.label))
        return {"image": image.float(), "label": label, "case": case_name(self.data[index])}

    def volume(self, index: int) -> Volume:
        """Open a patient's arrays without reading them, preparing them first where that was not done."""
        if index not in self._folders:
            item = self.data[index]
            states = [file_states(item[key]) for key in ("image", "label") if key in item]
            self._folders[index] = self.cache_dir / fingerprint(FORMAT, monai.__version__, item, states, self.transform)
        folder = self._folders[index]
        if not folder.is_dir():
            self._prepare(self.data[index], folder)
        return Volume(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in Volume._fields))

    def prepare(self, *, num_workers: int = 0, description: str = "preparing") -> None:
        """Prepare every patient, or this rank's share of them, in parallel and with a progress bar.

        Raises:
            RefusedError: a patient's files cannot be used; those already prepared stay.
        """
        share = range(idist.get_rank(), len(self), idist.get_world_size())
        loader = DataLoader(Subset(_Preparation(self), share), batch_size=None, num_workers=num_workers)
        for _ in tqdm(loader, desc=description, unit="patient", disable=idist.get_rank() > 0):
            pass

    def _prepare(self, item: Mapping[str, Any], folder: Path) -> None:
        prepared = self.transform(dict(item))
        image, label = (np.moveaxis(np.asarray(prepared[key]), -1, 0) for key in ("image", "label"))
        with_brain, with_tumour = (np.flatnonzero(part.any(axis=(1, 2, 3))) for part in (image, label))
        volume = Volume(image.astype(np.float16), label.astype(np.uint8), with_brain, with_tumour)
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished_", dir=self.cache_dir))
        try:
            for name, array in volume._asdict().items():
                _save(array, unfinished / f"{name}.npy")
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _save(array: NDArray[Any], path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


class _Preparation(Dataset[int]):
    """Prepare patients inside a data loader's workers."""

    def __init__(self, volumes: PreparedVolumes) -> None:
        self.volumes = volumes

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, index: int) -> int:
        self.volumes.volume(index)
        return index
