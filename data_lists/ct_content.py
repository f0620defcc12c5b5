"""What only the voxels of a CT study can tell. The reader, which refuses, is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data_lists.content import hash_voxels, map_in_processes
from data_lists.ct_layout import CtDataSet, CtStudy


class Scan(Protocol):
    """What is needed of a scan that was read."""

    @property
    def hu(self) -> NDArray[np.float32]:
        """Hounsfield units `(S, R, C)`."""

    @property
    def affine(self) -> NDArray[np.float64]:
        """From voxel index (column, row, slice) to RAS mm, `(4, 4)`."""

    @property
    def slice_positions_mm(self) -> NDArray[np.float64]:
        """Position of each slice, which are not the first axis of every NIfTI file."""


ReadScan: TypeAlias = Callable[[str], Scan]
"""Reads a folder of DICOM files or a NIfTI file, or raises a ValueError; a function of a module."""


@dataclass(frozen=True)
class CtContent:
    """What the voxels of one study tell.

    Attributes:
        sha256: hash of the Hounsfield units, not of the study's files; see `content.hash_voxels`.
        slices: number of slices.
    """

    sha256: str
    slices: int


def measure_studies(data_set: CtDataSet, *, read: ReadScan, workers: int = 1) -> Iterator[CtContent]:
    """Read every study of a data set, in its order.

    Args:
        data_set: what `find_ct_data_set` found.
        read: how a study is read.
        workers: processes; one study takes about a second and 400 MB.

    Yields:
        Content of each study.

    Raises:
        ValueError: If the reader refuses a study.
    """
    measure = partial(measure_study, data_set=replace(data_set, cases=()), read=read)
    yield from map_in_processes(measure, data_set.cases, workers=workers)


def measure_study(study: CtStudy, *, data_set: CtDataSet, read: ReadScan) -> CtContent:
    """Read one study; see `measure_studies`."""
    try:
        scan = read(str(data_set.root.absolute() / study.image))
    except ValueError as error:
        raise ValueError(f"{error} (study {study.image})") from error
    return CtContent(hash_voxels(scan.hu.transpose(2, 1, 0), scan.affine), len(scan.slice_positions_mm))
