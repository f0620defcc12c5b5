"""Where the voxels of a CT phantom lie in the standard head, and the shapes that are drawn there.

The standard head is measured in mm from a point near the middle of the brain: x grows to the patient's left, y to the
back, z to the top. A scan's voxels are a sheared grid in it, since gantry, table and head may each be tilted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Points = tuple[Field, Field, Field]
Window = tuple[slice, slice, slice]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Frame:
    """A grid of voxels in the standard head.

    Attributes:
        slices_mm: (S, 3) positions of the first voxel of each slice, from feet to head.
        row_mm: (3,) step from one row to the next, towards the patient's back.
        column_mm: (3,) step from one column to the next, towards the patient's left.
        size: rows and columns.
    """

    slices_mm: NDArray[np.float64]
    row_mm: NDArray[np.float64]
    column_mm: NDArray[np.float64]
    size: tuple[int, int]

    @property
    def pixel_mm(self) -> float:
        """Length of a side of a pixel."""
        return float(np.linalg.norm(self.column_mm))

    def coarse(self, factor: int) -> Frame:
        """The same field of view in pixels `factor` times as wide."""
        shift = (factor - 1) / 2 * (self.row_mm + self.column_mm)
        size = (-(-self.size[0] // factor), -(-self.size[1] // factor))
        return Frame(self.slices_mm + shift, self.row_mm * factor, self.column_mm * factor, size)

    def count_below(self, top_mm: float) -> int:
        """How many slices, from the feet up, have a corner below z = `top_mm`."""
        reach = np.minimum(self.size[0] * self.row_mm[2], 0) + np.minimum(self.size[1] * self.column_mm[2], 0)
        return int(np.sum(self.slices_mm[:, 2] + reach < top_mm))

    def columns_within(self, reach_mm: float, *, factor: int) -> slice:
        """The columns of which some voxel has |x| below `reach_mm`, in whole groups of `factor`."""
        starts = self.slices_mm[:, 0, None] + np.array([0, self.size[0] * self.row_mm[0]])
        first = int(np.floor((-reach_mm - starts.max()) / self.column_mm[0])) // factor * factor
        last = -int(np.floor((starts.min() - reach_mm) / self.column_mm[0])) // factor * factor + factor
        return slice(max(first, 0), min(last, self.size[1]))

    def crop(self, columns: slice) -> Frame:
        """The same scan, only some of its columns."""
        shifted = self.slices_mm + columns.start * self.column_mm
        return replace(self, slices_mm=shifted, size=(self.size[0], columns.stop - columns.start))

    def points(self, window: Window | None = None) -> Points:
        """x, y and z of all voxels, or of those in a window; each of shape (S, R, C)."""
        part = window or (slice(None), slice(None), slice(None))
        rows, columns = (np.arange(count)[which] for count, which in zip(self.size, part[1:], strict=True))
        along = self.slices_mm[part[0]]
        x, y, z = (
            (along[:, axis, None, None] + rows[:, None] * self.row_mm[axis] + columns * self.column_mm[axis])
            for axis in range(3)
        )
        return x.astype(np.float32), y.astype(np.float32), z.astype(np.float32)

    def window(self, centre_mm: NDArray[np.float64], reach_mm: float) -> Window:
        """The voxels within `reach_mm` of a point; may be empty."""
        normal = np.cross(self.column_mm, self.row_mm)
        heights = (self.slices_mm - centre_mm) @ normal / np.linalg.norm(normal)
        hit = np.flatnonzero(np.abs(heights) <= reach_mm)
        if hit.size == 0:
            return slice(0, 0), slice(0, 0), slice(0, 0)
        steps = np.stack([self.row_mm, self.column_mm], axis=1)
        spots = np.linalg.lstsq(steps, (centre_mm - self.slices_mm[hit]).T, rcond=None)[0]  # (2, slices): row, column
        low = np.floor(spots.min(axis=1) - reach_mm / self.pixel_mm)
        high = np.ceil(spots.max(axis=1) + reach_mm / self.pixel_mm) + 1
        rows, columns = (
            slice(*(int(edge) for edge in np.clip(edges, 0, count)))
            for edges, count in zip(zip(low, high, strict=True), self.size, strict=True)
        )
        return slice(int(hit[0]), int(hit[-1]) + 1), rows, columns


def refine(coarse: Field, size: tuple[int, int], factor: int) -> Field:
    """Bring a field of shape (S, r, c) to (S, *size), by linear interpolation between pixels `factor` times as wide."""
    return _stretch(_stretch(coarse, 1, factor)[:, : size[0]], 2, factor)[:, :, : size[1]]


def _stretch(field: Field, axis: int, factor: int) -> Field:
    """Linear interpolation to `factor` times as many pixels along one axis; the outermost pixels go on as they are."""
    if factor == 1:
        return field
    count = field.shape[axis]
    before, after = np.maximum(np.arange(count) - 1, 0), np.minimum(np.arange(count) + 1, count - 1)
    shape = [*field.shape[: axis + 1], factor, *field.shape[axis + 1 :]]
    fine = np.empty(shape, dtype=np.float32)
    for place in range(factor):
        offset = np.float32((place + 0.5) / factor - 0.5)
        other = field.take(before if offset < 0 else after, axis=axis)
        other -= field
        other *= abs(offset)
        fine[(slice(None),) * (axis + 1) + (place,)] = field + other
    return fine.reshape([*field.shape[:axis], count * factor, *field.shape[axis + 1 :]])


def ellipsoid(points: Points, centre_mm: Triple, radii_mm: Triple) -> Field:
    """Distance in mm to an ellipsoid, positive inside, good near its surface; works in place, to save time."""
    norm, gradient = np.full_like(points[0], 1e-6), np.full_like(points[0], 1e-6)
    for point, centre, radius in zip(points, centre_mm, radii_mm, strict=True):
        square = point - np.float32(centre)
        square *= square
        square *= np.float32(radius**-2)
        norm += square
        square *= np.float32(radius**-2)
        gradient += square
    np.sqrt(norm, out=norm)
    np.sqrt(gradient, out=gradient)
    np.divide(norm, gradient, out=gradient)
    gradient *= np.subtract(1, norm, out=norm)
    return gradient


def ramp(inside_mm: Field, width_mm: Field | float) -> Field:
    """Share of a voxel that a shape fills, 0 to 1: a straight edge as wide as the voxel."""
    share = inside_mm / (width_mm if isinstance(width_mm, np.ndarray) else np.float32(width_mm))
    share += np.float32(0.5)
    np.clip(share, 0, 1, out=share)
    return share


def blend(first: Field, second: Field, width_mm: float) -> Field:
    """Union of two shapes whose meeting edge is rounded over `width_mm`."""
    near: Field = np.maximum(np.float32(1) - np.abs(first - second) * np.float32(1 / width_mm), 0)
    near *= near * np.float32(width_mm / 4)
    near += np.maximum(first, second)
    return near
