"""Prepare each patient once and read the result from memory-mapped files ever after."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import monai
import torch
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from custom_transforms.atomic_file import remove_leftovers
from custom_transforms.fingerprint import code_sha256, file_states, fingerprint, real_paths
from custom_transforms.mri_study import case_name
from custom_transforms.prepared_folder import Arrays, discard, is_undamaged, open_arrays, write_arrays
from custom_transforms.ranks import of_all_ranks
from custom_transforms.refusal import RefusedError, refusal_in


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
    ARRAYS: tuple[str, ...] = ()  # names of the arrays that `to_arrays` gives

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

    def computed(self, index: int) -> Arrays:
        """Compute a patient's arrays."""
        return self.to_arrays(self.transform(dict(self.data[index])))

    def settings(self) -> object:
        """Give what the arrays depend on beside item and files, such as `fingerprint` takes it."""
        return self.transform

    def arrays(self, index: int) -> Arrays:
        """Open a patient's arrays without reading them, preparing them first where that was not done.

        Prepared files that are cut or missing are made anew, with a warning; `discard_if_damaged` sees other damage.

        Raises:
            RefusedError: the patient's files cannot be used.
        """
        if self.cache_dir is None:
            return self._transformed(index)
        folder = self.folder(index)
        if folder.is_dir():
            try:
                return open_arrays(folder, self.ARRAYS)
            except (FileNotFoundError, ValueError, EOFError):
                self._discard(index)
        write_arrays(self._transformed(index), folder)
        return open_arrays(folder, self.ARRAYS)

    def discard_if_damaged(self, index: int) -> None:
        """Read a patient's prepared files, and take them away where they are no longer what was written."""
        folder = self.folder(index)
        if folder.is_dir() and not is_undamaged(folder):
            self._discard(index)

    def leave_out(self, indices: Collection[int]) -> None:
        """Leave out patients for good; what is made from the data set later does not know them."""
        self.data = [item for index, item in enumerate(self.data) if index not in indices]
        self._folders = {}

    def source_bytes(self, index: int) -> int:
        """Tell the size of a patient's files."""
        item = self.data[index]
        states = [state for key in self.FILES if key in item for state in file_states(item[key])]
        return sum(int(size) for _, size, _ in states)

    def _discard(self, index: int) -> None:
        told = "damaged prepared files: case %s is prepared anew"
        logging.getLogger(__name__).warning(told, case_name(self.data[index]))
        discard(self.folder(index))

    def _transformed(self, index: int) -> Arrays:
        try:
            return self.computed(index)
        except (RuntimeError, RefusedError) as error:
            line, case = refusal_in(error), case_name(self.data[index])
            if line is None:
                raise
            raise RefusedError(line if case in line else f"{line} (case {case})") from error

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
            work = fingerprint(self.FORMAT, monai.__version__, code_sha256(), item, states, self.settings())
            self._folders[index] = self.cache_dir / work
        return self._folders[index]

    def prepare(self, *, num_workers: int = 0, description: str = "preparing") -> dict[int, str]:
        """Prepare every patient, or this rank's share of them, in parallel and with a progress bar.

        What is prepared already is read, and made anew where its checksums do not fit.

        Returns:
            Positions of the patients, of all ranks, whose files cannot be used, with the reason.
        """
        if self.cache_dir is None:
            return {}
        remove_leftovers(self.cache_dir)
        share = range(idist.get_rank(), len(self), idist.get_world_size())
        loader = preparing_loader(Subset(_Preparation(self), share), num_workers)
        done = list(tqdm(loader, desc=description, unit="patient", disable=idist.get_rank() > 0))
        return {index: reason for part in of_all_ranks(done) for index, reason in part if reason}


def preparing_loader(patients: Dataset[Any], num_workers: int) -> DataLoader[Any]:
    """Give a loader of one patient at a time that draws no random number of this process.

    The first weights of a network are drawn later: they must not depend on what was prepared already.
    """
    return DataLoader(patients, batch_size=None, num_workers=num_workers, generator=torch.Generator())


class _Preparation(Dataset[tuple[int, str]]):
    """Prepare patients inside a data loader's workers; gives the position and, if it was refused, the reason."""

    def __init__(self, items: PreparedItems) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[int, str]:
        try:
            self.items.discard_if_damaged(index)
            self.items.arrays(index)
        except RefusedError as error:
            return index, str(error)
        return index, ""
