"""Exact shape operations on one slice's mask, in millimetres; each works only on the part of the slice that counts."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from custom_transforms.planes import planes
from custom_transforms.spread import Mask, dilate, erode

Masks: TypeAlias = NDArray[np.uint8]  # (S, R, C), 0 or 1
Spacing: TypeAlias = tuple[float, float]  # row and column spacing in mm
Box: TypeAlias = tuple[slice, slice]


def disk(radius_mm: float, spacing_mm: Spacing) -> Mask:
    """Draw the pixels whose centres lie within `radius_mm` of the middle pixel's centre; odd rows, odd columns."""
    rows, columns = (int(radius_mm / step) for step in spacing_mm)
    row, column = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    inside = (row * spacing_mm[0]) ** 2 + (column * spacing_mm[1]) ** 2 <= radius_mm**2
    return np.asarray(inside, dtype=np.uint8)


def box_around(mask: Mask, margin: tuple[int, int]) -> Box:
    """Bound the mask, with `margin` rows and columns around it as far as the slice reaches."""
    box = []
    for axis, more in zip((1, 0), margin, strict=True):
        places = np.flatnonzero(mask.max(axis=axis, initial=0))
        first, end = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
        box.append(slice(max(0, first - more), end + more))
    return box[0], box[1]


def grown(mask: Mask, footprint: Mask) -> Mask:
    """Dilate; nothing is set outside the slice."""
    box = box_around(mask, half_size(footprint))
    result = np.zeros_like(mask)
    result[box] = dilate(mask[box], footprint)
    return result


def opened(mask: Mask, footprint: Mask) -> Mask:
    """Keep what the footprint covers without leaving the mask; the slice's border counts as outside."""
    return dilate(erode(mask, footprint), footprint)


def closed_and_filled(masks: Masks, footprint: Mask) -> Masks:
    """Close gaps narrower than the footprint in each slice, then fill every hole; outside a slice nothing is set.

    Slices are closed eight at a time, each in a bit of its own.
    """
    result = np.zeros_like(masks)
    rows, columns = half_size(footprint)
    for first in range(0, len(masks), 8):
        eight = _in_bits(masks[first : first + 8])
        box = box_around(eight, (0, 0))
        wide = np.pad(eight[box], ((rows, rows), (columns, columns)))
        closed = erode(dilate(wide, footprint), footprint)
        inner = closed[rows : closed.shape[0] - rows, columns : closed.shape[1] - columns]
        for bit, slice_result in enumerate(result[first : first + 8]):
            slice_result[box] = planes.fill_holes(np.asarray((inner >> bit) & 1, dtype=np.uint8))
    return result


def _in_bits(masks: Masks) -> Mask:
    """Put up to eight masks `(S, R, C)` into the bits of one, the first into the lowest."""
    together = np.zeros(masks.shape[1:], np.uint8)
    for bit, mask in enumerate(masks):
        together |= mask << bit
    return together


def half_size(footprint: Mask) -> tuple[int, int]:
    """Count the rows and columns of the footprint on each side of its middle."""
    return footprint.shape[0] // 2, footprint.shape[1] // 2
