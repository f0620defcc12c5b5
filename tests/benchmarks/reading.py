"""From a folder of raw DICOM slices to Hounsfield units."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.heads import head_folders
from benchmarks.job import Job
from benchmarks.plain_reading import read_hu
from custom_transforms.ct_study import CtVolume, read_ct
from custom_transforms.isolated_readers import read_ct_isolated


def jobs(folder: Path, threads: int) -> Iterator[Job]:
    """Each head, read in this process with every check; another process for safety is told of in the note."""
    for name, study in head_folders(folder):
        yield Job(
            f"read {name} of raw DICOM into HU",
            baseline=partial(read_hu, study),
            ours=partial(read_ct, study),
            equal=_equal,
            tolerance="exactly: stored whole numbers, one multiplication, one addition in float32",
            moved_bytes=_least_bytes(study),
            to_reach=2.2,
            describe=partial(_isolated, study),
        )


def _equal(baseline: NDArray[np.float32], ours: CtVolume) -> bool:
    return np.array_equal(baseline, ours.hu)


def _least_bytes(study: Path) -> float:
    """Files read once; HU, of twice the size, written once."""
    return 3.0 * sum(file.stat().st_size for file in study.iterdir())


def _isolated(study: Path, baseline: NDArray[np.float32], ours: CtVolume) -> str:
    """Say what reading in a process apart adds; the process has read before, and so has started."""
    times: dict[str, list[float]] = {}
    for _ in range(6):
        for where, read in (("here", read_ct), ("apart", read_ct_isolated)):
            began = perf_counter()
            read(study)
            times.setdefault(where, []).append(perf_counter() - began)
    here, apart = (float(np.median(times[where][1:])) for where in ("here", "apart"))
    return f"in a process apart, as the bundle does it, {1000 * apart:.0f} ms instead of {1000 * here:.0f}"
