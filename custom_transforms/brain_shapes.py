"""Exact shape operations on one slice's mask, in millimetres; each works only on the part of the slice that counts."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from custom_transforms.planes import planes
from custom_transforms.spread import Mask, dilate, erode

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


def closed_and_filled(mask: Mask, footprint: Mask) -> Mask:
    """Close gaps narrower than the footprint, then fill every hole; outside the slice the mask is taken as unset."""
    result = np.zeros_like(mask)
    box = box_around(mask, (0, 0))
    rows, columns = half_size(footprint)
    wide = np.pad(mask[box], ((rows, rows), (columns, columns)))
    closed = planes.fill_holes(erode(dilate(wide, footprint), footprint))
    result[box] = closed[rows : closed.shape[0] - rows, columns : closed.shape[1] - columns]
    return result


def half_size(footprint: Mask) -> tuple[int, int]:
    """Count the rows and columns of the footprint on each side of its middle."""
    return footprint.shape[0] // 2, footprint.shape[1] // 2
