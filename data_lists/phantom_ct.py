"""Phantom heads for the CT bundle: Hounsfield units, a true brain mask and true metastases, drawn from a seed.

They let the whole workflow, training included, run where no patient data may be. Made so that the largest bright blob
does not tell who has metastases: harmless calcifications, blobs, vessels and dark spots are as common without them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_lists.phantom_ct_scanner import Scanner, draw_scanner, pose_head, scan_affine
from data_lists.phantom_head import Streams, draw_head
from data_lists.phantom_head_paint import AIR_HU, degrade

_SMALLEST_MATRIX = 32
_COARSE_SIDE = 128  # rows on which shapes are computed: their distances are smooth, so finer edges follow from these
_HEAD_REACH_MM = 92.0  # to either side of the middle
_BLOCK = 4  # in every block of so many heads, half are positive


@dataclass(frozen=True)
class PhantomHead:
    """One made-up head CT.

    Attributes:
        hu: int16 (S, R, C) Hounsfield units, slices from feet to head, rows to the back, columns to the left.
        brain: (S, R, C) bool, everything within the skull above the spinal canal.
        lesion: (S, R, C) bool, the metastases without their oedema.
        positive: whether there are metastases.
        affine: (4, 4) voxel (column, row, slice) to RAS mm; of uneven slices it carries the median step.
        slice_positions_mm: (S,) positions along the slice normal, ascending.
        scanner: how it was taken.
    """

    hu: NDArray[np.int16]
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_]
    positive: bool
    affine: NDArray[np.float64]
    slice_positions_mm: NDArray[np.float64]
    scanner: Scanner


def make_head(index: int, *, positive: bool | None = None, matrix: int = 256, seed: int = 88) -> PhantomHead:
    """Draw head number `index`; which other heads are drawn makes no difference.

    Args:
        index: number of the head, at least 0.
        positive: whether it has metastases. By default half of the heads have, in no plain order.
        matrix: rows and columns, at least 32.
        seed: number of the collection, at least 0.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> make_head(1, matrix=64).hu.shape[1:]
        (64, 64)
    """
    if index < 0 or seed < 0:
        raise ValueError(f"index and seed must be at least 0, got index {index} and seed {seed}")
    if matrix < _SMALLEST_MATRIX:
        raise ValueError(f"matrix must be at least {_SMALLEST_MATRIX}, got {matrix}")
    positive = is_positive(index, seed=seed) if positive is None else positive
    streams = Streams(*np.random.default_rng([seed, index]).spawn(5))
    scanner = draw_scanner(streams.scanner, matrix=matrix)
    frame = pose_head(streams.scanner, scanner, matrix=matrix)
    factor = max(matrix // _COARSE_SIDE, 1)
    columns = frame.columns_within(_HEAD_REACH_MM, factor=factor)
    hu = np.full((scanner.slice_z_mm.size, matrix, matrix), AIR_HU, dtype=np.float32)
    brain, lesion = np.zeros((2, *hu.shape), dtype=bool)
    part = frame.crop(columns)
    drawn = draw_head(streams, part, scanner, factor=factor, positive=positive)
    hu[:, :, columns], brain[:, :, columns], lesion[:, :, columns] = drawn
    stored = degrade(streams.noise, hu, scanner)
    positions = scanner.slice_z_mm * np.cos(np.deg2rad(scanner.tilt_degrees))
    return PhantomHead(stored, brain, lesion, positive, scan_affine(scanner, matrix=matrix), positions, scanner)


def is_positive(index: int, *, seed: int) -> bool:
    """Whether head `index` has metastases by default: half of each block of four (1 to 4, 5 to 8 …), shuffled."""
    block, place = divmod(index + _BLOCK - 1, _BLOCK)
    order = np.random.default_rng([seed, block, _BLOCK]).permutation(_BLOCK)
    return bool(order[place] < _BLOCK // 2)
