"""Irregular, roundish lumps in a CT phantom head, computed only around each lump."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_lists.phantom_head_frame import Field, Frame, Window

_WAVES = 7


@dataclass(frozen=True)
class Lump:
    """A lump within a window of the scan.

    Attributes:
        window: slices, rows and columns that it may touch.
        inside: distance in mm to its surface, positive inside, of the window's shape.
    """

    window: Window
    inside: Field


def draw_lump(
    rng: np.random.Generator,
    frame: Frame,
    centre_mm: NDArray[np.float64],
    *,
    radius_mm: float,
    rough: float,
    reach_mm: float = 2.0,
) -> Lump:
    """Draw an ellipsoid with bumps.

    Args:
        rng: random numbers.
        frame: the scan.
        centre_mm: (3,) in the standard head.
        radius_mm: mean radius.
        rough: height of the bumps as a share of the radius.
        reach_mm: how far from the surface the distance is wanted.
    """
    window = frame.window(centre_mm, radius_mm * (1.25 + 2 * rough) + reach_mm)
    x, y, z = (point - np.float32(centre) for point, centre in zip(frame.points(window), centre_mm, strict=True))
    stretch = rng.uniform(0.85, 1.18, size=3)
    stretch = (stretch / np.prod(stretch) ** (1 / 3)).astype(np.float32)
    distance = np.sqrt((x / stretch[0]) ** 2 + (y / stretch[1]) ** 2 + (z / stretch[2]) ** 2)
    directions = rng.normal(0, 1.5 / radius_mm, size=(_WAVES, 3)).astype(np.float32)
    bumps = np.zeros_like(distance)
    for direction, phase in zip(directions, rng.uniform(0, 2 * np.pi, _WAVES).astype(np.float32), strict=True):
        bumps += np.cos(x * direction[0] + y * direction[1] + z * direction[2] + phase)
    bumps *= np.float32(rough * radius_mm / np.sqrt(_WAVES / 2))
    return Lump(window, np.float32(radius_mm) + bumps - distance)


def random_spot(rng: np.random.Generator, frame: Frame, allowed: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Position in mm of a random allowed voxel of (S, R, C), or None where no voxel is allowed."""
    places = np.flatnonzero(allowed)
    if places.size == 0:
        return None
    number, row, column = np.unravel_index(int(rng.choice(places)), allowed.shape)
    spot = frame.slices_mm[number] + row * frame.row_mm + column * frame.column_mm
    return np.asarray(spot, dtype=np.float64)
