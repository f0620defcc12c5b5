"""The random fields that make one CT phantom head differ from the next, fixed in mm within the scan."""

from __future__ import annotations

import numpy as np

from data_lists.phantom_grid import Grid, smooth_noise, wandering_sheet
from data_lists.phantom_head_frame import Field, Frame, Points

_BEND_MM, _BEND_SCALE_MM = 2.0, 45.0


class HeadNoise:
    """Draws smooth random fields of shape (S, R, C) on a scan's grid.

    Args:
        rng: random numbers.
        frame: the grid; the fields hang on its axes, so shear and pose do not matter.
    """

    def __init__(self, rng: np.random.Generator, frame: Frame) -> None:
        self.rng = rng
        rise = np.linalg.norm(frame.slices_mm - frame.slices_mm[0], axis=1)
        corner = frame.slices_mm.mean(axis=0) + frame.size[0] / 2 * frame.row_mm + frame.size[1] / 2 * frame.column_mm
        across = ((np.arange(count) - count / 2) * frame.pixel_mm for count in frame.size)
        columns, rows = (middle + steps for middle, steps in zip(corner, list(across)[::-1], strict=False))
        heights = rise + frame.slices_mm[0, 2]
        everything = (slice(None), slice(None), slice(None))
        self.grid = Grid((heights, rows, columns), everything, (5.0, frame.pixel_mm, frame.pixel_mm))

    def bumps(self, scale_mm: float) -> Field:
        """Noise of mean 0 and standard deviation about 1 whose bumps are `scale_mm` wide."""
        return smooth_noise(self.rng, self.grid, scale_mm).astype(np.float32)

    def folds(self, scale_mm: float) -> Field:
        """Distance in mm, at least 0, to folded surfaces `scale_mm` apart."""
        return wandering_sheet(self.rng, self.grid, scale_mm).astype(np.float32)

    def bend(self, points: Points) -> Points:
        """Bend a head by a few mm."""
        x, y, z = (point + np.float32(_BEND_MM) * self.bumps(_BEND_SCALE_MM) for point in points)
        return x, y, z
