"""Say what preparing a data set will need, and refuse to start where there is too little of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import ignite.distributed as idist
from torch.utils.data import Dataset, Subset

from custom_transforms.prepared_items import PreparedItems, preparing_loader
from custom_transforms.refusal import RefusedError
from custom_transforms.resources import PeakMemory, free_disk_bytes, readable_size, require_disk, require_memory

TRIES = 3  # patients that may turn out to be refused; more would be waiting for nothing


def require_room(folds: Sequence[PreparedItems], *, num_workers: int = 0) -> None:
    """Prepare the patient with the largest files, and conclude from it what all others will need.

    Disk goes with the size of the files; every worker, of every rank of this machine, may have the largest patient in
    memory at the same time. Nothing is said where every patient is prepared already, or the largest are refused.

    Args:
        folds: data sets that will be prepared into one cache.
        num_workers: processes that prepare.

    Raises:
        RefusedError: `too_little_disk` or `too_little_memory`.
    """
    cached = [fold for fold in folds if fold.cache_dir is not None]
    missing = [(fold, i) for fold in cached for i in range(len(fold)) if not fold.folder(i).is_dir()]
    missing.sort(key=lambda patient: -patient[0].source_bytes(patient[1]))
    for largest in missing[:TRIES]:
        grown_bytes = _measure(*largest, in_worker=num_workers > 0)
        if grown_bytes is not None:
            _compare(largest, missing, grown_bytes, max(1, num_workers) * idist.get_nproc_per_node())
            return


def _compare(
    largest: tuple[PreparedItems, int], missing: Sequence[tuple[PreparedItems, int]], grown_bytes: int, workers: int
) -> None:
    fold, index = largest
    cache = fold.cache_dir
    if cache is None:
        return
    written = sum(file.stat().st_size for file in fold.folder(index).iterdir())
    source_bytes, source = sum(it.source_bytes(i) for it, i in missing), fold.source_bytes(index)
    others = (source_bytes - source) / source if source else len(missing) - 1  # as many times the largest
    disk, memory = others * written, grown_bytes * workers
    free = readable_size(free_disk_bytes(cache))
    told = "%d patients to prepare: about %s of disk (%s free) and %s of memory for %d worker(s), by the largest"
    logging.getLogger(__name__).info(told, len(missing), readable_size(disk), free, readable_size(memory), workers)
    require_disk(cache, disk)
    require_memory(memory, of=f"{workers} worker(s)")


def _measure(fold: PreparedItems, index: int, *, in_worker: bool) -> int | None:
    """Prepare a patient, and give the memory in bytes that it took, 0 if unknown; None if the patient is refused."""
    measured = Subset(_Measurement(fold), [index])
    [(grown_bytes,)] = preparing_loader(measured, int(in_worker))
    return None if grown_bytes is None else int(grown_bytes)


class _Measurement(Dataset[list[int | None]]):
    """Measure inside a data loader's worker, which takes no memory for anything else."""

    def __init__(self, items: PreparedItems) -> None:
        self.items = items

    def __getitem__(self, index: int) -> list[int | None]:
        peak = PeakMemory()
        try:
            self.items.arrays(index)
        except RefusedError:
            return [None]
        return [peak.grown_bytes() or 0]
