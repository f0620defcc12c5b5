"""Exact shape operations on one slice's mask, in millimetres; each works only on the part of the slice that counts."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.uint8]  # (R, C), 0 or 1
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
    column, row, width, height = cv2.boundingRect(mask)
    rows = slice(max(0, row - margin[0]), row + height + margin[0])
    return rows, slice(max(0, column - margin[1]), column + width + margin[1])


def grown(mask: Mask, footprint: Mask) -> Mask:
    """Dilate; nothing is set outside the slice."""
    box = box_around(mask, half_size(footprint))
    result = np.zeros_like(mask)
    result[box] = cv2.dilate(np.ascontiguousarray(mask[box]), footprint)
    return result


def opened(mask: Mask, footprint: Mask) -> Mask:
    """Keep what the footprint covers without leaving the mask; the slice's border counts as outside."""
    core = cv2.erode(mask, footprint, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(cv2.dilate(core, footprint), dtype=np.uint8)


def closed_and_filled(mask: Mask, footprint: Mask) -> Mask:
    """Close gaps narrower than the footprint, then fill every hole; outside the slice the mask is taken as unset."""
    result = np.zeros_like(mask)
    column, row, width, height = cv2.boundingRect(mask)
    box = slice(row, row + height), slice(column, column + width)
    rows, columns = half_size(footprint)
    wide = cv2.copyMakeBorder(mask[box], rows, rows, columns, columns, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.erode(cv2.dilate(wide, footprint), footprint)
    result[box] = filled(np.asarray(closed, dtype=np.uint8))[rows : rows + height, columns : columns + width]
    return result


def filled(mask: Mask) -> Mask:
    """Set what cannot be reached from outside the slice by steps between neighbours that share an edge."""
    wide = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(wide, None, (0, 0), 2)
    return np.asarray(wide[1:-1, 1:-1] != 2, dtype=np.uint8)


def half_size(footprint: Mask) -> tuple[int, int]:
    """Count the rows and columns of the footprint on each side of its middle."""
    return footprint.shape[0] // 2, footprint.shape[1] // 2
