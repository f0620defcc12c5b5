"""Voxel grid and smooth random fields of the MRI phantom, both fixed in millimetres.

Every structure of the phantom is a distance to its surface, not a mask, and every random field hangs on a lattice in
mm. So one patient is the same person on a coarse and on a fine grid, and the share of a voxel that a structure fills
follows from the distance. Positions are mm from the centre of the field of view: the first axis grows to the patient's
left, the second to the back, the third to the top.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
Points = tuple[Field, Field, Field]

FIELD_OF_VIEW_MM = (240.0, 240.0, 155.0)  # that of a BraTS volume: 240 x 240 x 155 voxels of 1 mm
_HEAD_REACH_MM = (84.0, 102.0, 77.5)  # the largest brain lies within; nothing is computed outside
_SPLINE_SPREAD = (151.0 / 315.0) ** 1.5  # standard deviation of a 3D cubic B-spline sum of unit normal numbers


@dataclass(frozen=True)
class Grid:
    """The voxel centres around the head.

    Attributes:
        axes_mm: positions of the voxel centres along each axis, in mm, of lengths h, w and s.
        window: where these voxels lie in the full (H, W, S) volume.
        spacing_mm: size of a voxel along each axis.
    """

    axes_mm: Points
    window: tuple[slice, slice, slice]
    spacing_mm: tuple[float, float, float]

    @classmethod
    def of_shape(cls, shape: tuple[int, int, int]) -> Grid:
        """Lay a grid of (H, W, S) voxels over the field of view and keep the part that can hold brain."""
        first, second, third = (
            _axis(*numbers) for numbers in zip(shape, FIELD_OF_VIEW_MM, _HEAD_REACH_MM, strict=True)
        )
        return cls((first[0], second[0], third[0]), (first[1], second[1], third[1]), (first[2], second[2], third[2]))

    def points(self) -> Points:
        """The coordinates of the voxels in mm, of shapes (h, 1, 1), (1, w, 1) and (1, 1, s)."""
        first, second, third = self.axes_mm
        return first[:, None, None], second[None, :, None], third[None, None, :]

    def share(self, inside_mm: Field) -> Field:
        """How much of each voxel a structure fills, 0 to 1, from the distance to its surface (positive inside).

        An edge is a ramp as wide as a voxel's mean side, close to what averaging a finer grid would give.
        """
        blur_mm = float(np.prod(self.spacing_mm)) ** (1 / 3)
        return np.asarray(np.clip(inside_mm / blur_mm + 0.5, 0.0, 1.0), dtype=np.float64)

    def thin_share(self, distance_mm: Field, half_width_mm: float) -> Field:
        """The same for a sheet that may be thinner than a voxel, from the distance (at least 0) to its middle."""
        return self.share(half_width_mm - distance_mm) - self.share(-half_width_mm - distance_mm)


def _axis(count: int, extent_mm: float, reach_mm: float) -> tuple[Field, slice, float]:
    """Voxel centres of one axis that lie within reach of the head, their place in the axis, and the spacing."""
    spacing_mm = extent_mm / count
    centres: Field = (np.arange(count, dtype=np.float64) + 0.5) * spacing_mm - extent_mm / 2
    near = np.flatnonzero(np.abs(centres) <= reach_mm)
    window = slice(int(near[0]), int(near[-1]) + 1)
    return centres[window], window, spacing_mm


def smooth_noise(rng: np.random.Generator, grid: Grid, scale_mm: float) -> Field:
    """Smooth random field of mean 0 and standard deviation about 1 whose bumps are about `scale_mm` wide.

    Returns:
        Array of shape (h, w, s).
    """
    lattice, weights, _ = _draw_lattice(rng, grid, scale_mm)
    return _interpolate(lattice, weights)


def wandering_sheet(rng: np.random.Generator, grid: Grid, scale_mm: float) -> Field:
    """Distance in mm, at least 0, to the folded surface on which a smooth random field is zero.

    Returns:
        Array of shape (h, w, s); a good distance near the surface, a rough one far away.
    """
    lattice, weights, slopes = _draw_lattice(rng, grid, scale_mm)
    height = _interpolate(lattice, weights)
    steepness = np.full_like(height, (0.3 / scale_mm) ** 2)  # keeps flat places from turning into wide gaps
    for axis in range(3):
        mixed = [slopes[i] if i == axis else weights[i] for i in range(3)]
        steepness += _interpolate(lattice, mixed) ** 2
    return np.asarray(np.abs(height) / np.sqrt(steepness), dtype=np.float64)


def _draw_lattice(rng: np.random.Generator, grid: Grid, scale_mm: float) -> tuple[Field, list[Field], list[Field]]:
    """Random numbers on a lattice over the whole field of view, and per axis the (n, lattice) weights and slopes."""
    counts = [int(extent / scale_mm) + 4 for extent in FIELD_OF_VIEW_MM]
    lattice = rng.standard_normal(counts) / _SPLINE_SPREAD
    weights, slopes = [], []
    for axis_mm, extent, count in zip(grid.axes_mm, FIELD_OF_VIEW_MM, counts, strict=True):
        nodes = np.arange(count) - 1.0
        weight, slope = _spline((axis_mm[:, None] + extent / 2) / scale_mm - nodes)
        weights.append(weight)
        slopes.append(slope / scale_mm)
    return lattice, weights, slopes


def _spline(offset: Field) -> tuple[Field, Field]:
    """Cubic B-spline and its derivative, at offsets counted in lattice steps."""
    size = np.abs(offset)
    rest = np.maximum(2 - size, 0)
    height = np.where(size < 1, 2 / 3 - size**2 + size**3 / 2, rest**3 / 6)
    slope = np.where(size < 1, 1.5 * size**2 - 2 * size, -(rest**2) / 2)
    return height, slope * np.sign(offset)


def _interpolate(lattice: Field, weights: list[Field]) -> Field:
    """Sum an (a, b, c) lattice with one weight matrix per axis; the axis of fewest voxels first, to save work."""
    along_third = np.tensordot(lattice, weights[2], axes=(2, 1))
    along_second = np.tensordot(along_third, weights[1], axes=(1, 1))
    full = np.tensordot(weights[0], along_second, axes=(1, 0))
    return np.ascontiguousarray(full.transpose(0, 2, 1), dtype=np.float64)
