"""Prepare each patient once and read the result from memory-mapped files ever after."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import ignite.distributed as idist
import monai
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from custom_transforms.fingerprint import code_sha256, file_states, fingerprint, real_paths

Arrays = dict[str, NDArray[Any]]


class PreparedItems(Dataset[dict[str, Any]]):
    """A data set whose patients are computed on first use and then read from disk.

    Memory stays flat however many patients there are. `monai.data.PersistentDataset` reads a whole patient for one
    slice, unpickles, and does not notice changed transforms or files by itself. Here a patient is a folder of plain
    `.npy` files without pickle, complete or absent, so that several processes may share it, and a preparation that
    was interrupted goes on where it stopped.

    Args:
        data: items with `image` and, where there is one, `case`.
        transform: deterministic steps from item to what `to_arrays` keeps.
        cache_dir: folder of the prepared files; None or an empty text computes each time, with the same result.
    """

    FORMAT = 1  # raise in a subclass when its arrays change, so that old ones are not read
    FILES: tuple[str, ...] = ("image",)  # keys of an item that name files

    def __init__(
        self, data: Sequence[Mapping[str, Any]], transform: Callable[[Any], Any], cache_dir: str | Path | None
    ) -> None:
        self.data = data
        self.transform = transform
        self.cache_dir = Path(cache_dir) if cache_dir else None
        self._folders: dict[int, Path] = {}

    def __len__(self) -> int:
        """Count patients."""
        return len(self.data)

    def to_arrays(self, prepared: Mapping[str, Any]) -> Arrays:
        """Take from a transformed item what is kept."""
        raise NotImplementedError

    def arrays(self, index: int) -> Arrays:
        """Open a patient's arrays without reading them, preparing them first where that was not done."""
        if self.cache_dir is None:
            return self.to_arrays(self.transform(dict(self.data[index])))
        folder = self.folder(index)
        if not folder.is_dir():
            self._write(self.to_arrays(self.transform(dict(self.data[index]))), folder)
        return {file.stem: np.load(file, mmap_mode="r") for file in folder.glob("*.npy")}

    def folder(self, index: int) -> Path:
        """Name the folder of a patient, from its files, all settings, this code and the version of MONAI.

        Raises:
            ValueError: there is no `cache_dir`.
        """
        if self.cache_dir is None:
            raise ValueError("prepared items: expected a cache_dir, got None")
        if index not in self._folders:
            item = self.data[index]
            states = [file_states(item[key]) for key in self.FILES if key in item]
            item = {**item, **{key: real_paths(item[key]) for key in self.FILES if key in item}}
            work = fingerprint(self.FORMAT, monai.__version__, code_sha256(), item, states, self.transform)
            self._folders[index] = self.cache_dir / work
        return self._folders[index]

    def prepare(self, *, num_workers: int = 0, description: str = "preparing") -> None:
        """Prepare every patient, or this rank's share of them, in parallel and with a progress bar.

        Raises:
            RefusedError: a patient's files cannot be used; those already prepared stay.
        """
        if self.cache_dir is None:
            return
        share = range(idist.get_rank(), len(self), idist.get_world_size())
        loader = DataLoader(Subset(_Preparation(self), share), batch_size=None, num_workers=num_workers)
        for _ in tqdm(loader, desc=description, unit="patient", disable=idist.get_rank() > 0):
            pass

    def _write(self, arrays: Arrays, folder: Path) -> None:
        unfinished = folder.parent / f"unfinished_{uuid4().hex}"  # mkdtemp's are for one user's eyes alone
        unfinished.mkdir(parents=True)
        try:
            for name, array in arrays.items():
                _save(array, unfinished / f"{name}.npy")
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _save(array: NDArray[Any], path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(array) if array.ndim else array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


class _Preparation(Dataset[int]):
    """Prepare patients inside a data loader's workers."""

    def __init__(self, items: PreparedItems) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> int:
        self.items.arrays(index)
        return index
