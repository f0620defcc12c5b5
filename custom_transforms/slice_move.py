"""Move slices as told: cut out, flip, rotate, shift, scale and bend them in one resampling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, cos, radians, sin

import torch
from torch.nn.functional import grid_sample, pad


@dataclass(frozen=True)
class SliceMove:
    """What is done to a slice; by default nothing.

    Args:
        start: row and column of the slice at which the result begins; below 0 it begins in the padding.
        flip: turn the rows round, patient's left to right in `RAS`.
        rotate_degrees: about the middle of the result, from rows to columns.
        shift_pixels: towards higher rows and columns.
        scale: along rows and columns; above 1 enlarges.
        offsets: `(2, N, M)` float32 pixels, of `warp_grid`; None bends nothing.
        spacing_pixels: of the offsets.
    """

    start: tuple[int, int] = (0, 0)
    flip: bool = False
    rotate_degrees: float = 0.0
    shift_pixels: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    offsets: torch.Tensor | None = None
    spacing_pixels: float = 32.0

    @property
    def is_exact(self) -> bool:
        """Whether pixels are only cut out, padded and turned round, so that none is interpolated."""
        straight = self.rotate_degrees == 0 and self.shift_pixels == (0, 0) and self.scale == (1, 1)
        return straight and self.offsets is None

    def matrix(self, size: tuple[int, int], source_size: tuple[int, int]) -> torch.Tensor:
        """Give the way back, from the result's pixels to the slice's, as `(1, 2, 3)` for `warp_grid`."""
        sine, cosine = sin(radians(self.rotate_degrees)), cos(radians(self.rotate_degrees))
        taller, wider = (-self.scale[0] if self.flip else self.scale[0]), self.scale[1]
        back = ((cosine / taller, sine / taller), (-sine / wider, cosine / wider))
        rows = [
            (down, right, start + (side - source_side) / 2 - down * self.shift_pixels[0] - right * self.shift_pixels[1])
            for (down, right), start, side, source_side in zip(back, self.start, size, source_size, strict=True)
        ]
        return torch.tensor(rows)[None]

    def grid(self, size: tuple[int, int], source_size: tuple[int, int]) -> torch.Tensor | None:
        """Give the grid for `sample`, `(1, X, Y, 2)`; None where nothing is interpolated."""
        if self.is_exact:
            return None
        offsets = None if self.offsets is None else self.offsets[None]
        matrix = self.matrix(size, source_size)
        return warp_grid(matrix, size=size, source_size=source_size, offsets=offsets, spacing=self.spacing_pixels)

    def cut(self, image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Cut `(C, *size)` out of `(C, X, Y)`, with 0 beyond it, and flip it where the move does: a new tensor."""
        (top, left), (rows, columns) = self.start, size
        cut = pad(image, (-left, left + columns - image.shape[2], -top, top + rows - image.shape[1]))
        return cut.flip(1) if self.flip else cut


def control_points(size: tuple[int, int], spacing: float) -> tuple[int, int]:
    """Count the points along each axis that offsets `spacing` pixels apart need to cover a slice of `size`."""
    rows, columns = (ceil((side - 1) / spacing) + 3 for side in size)  # a pixel lies between two pairs of them
    return rows, columns


def warp_grid(
    matrix: torch.Tensor,
    *,
    size: tuple[int, int],
    source_size: tuple[int, int],
    offsets: torch.Tensor | None = None,
    spacing: float = 32.0,
) -> torch.Tensor:
    """Say for each pixel of the result from where in the source it comes.

    Pixel p, counted from the middle of the result, comes from `matrix @ [p + d(p), 1]`, counted from the middle of the
    source, where d goes smoothly through `offsets`. Only the offsets are interpolated: where they are 0, a grid is
    straight.

    Args:
        matrix: `(B, 2, 3)` float32, in pixels.
        size: rows and columns X, Y of the result.
        source_size: rows and columns of what is sampled.
        offsets: `(B, 2, N, M)` in pixels, N and M as `control_points` counts, the middle one over the middle; None
            bends nothing.
        spacing: pixels from point to point.

    Returns:
        `(B, X, Y, 2)` float32, as `sample` and torch's `grid_sample` want it: -1..1 from edge to edge, columns first.

    Reference: Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 1981.
    """
    scale = 2 / torch.tensor(source_size, dtype=torch.float32, device=matrix.device)
    matrix = (matrix * scale[:, None]).flip(1)[..., None]
    rows, columns = (torch.arange(side, device=matrix.device) - (side - 1) / 2 for side in size)
    grid = matrix[:, :, 0, None] * rows[:, None] + (matrix[:, :, 1, None] * columns + matrix[:, :, 2, None])
    if offsets is not None:
        turned = matrix[:, :, 0, None] * offsets[:, :1] + matrix[:, :, 1, None] * offsets[:, 1:]
        down, right = (_cubic_weights(side, spacing).to(matrix.device) for side in size)
        grid += down @ turned @ right.T
    return grid.permute(0, 2, 3, 1)


def sample(image: torch.Tensor, grid: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Take from slices `(B, C, X, Y)` what the grid says, 0 outside them.

    Args:
        image: of any type; it is computed in float32.
        grid: `(B, X', Y', 2)`, of `warp_grid`.
        mode: `bilinear`, or `nearest`, which invents no value.

    Returns:
        `(B, C, X', Y')` of the image's type.
    """
    return grid_sample(image.float(), grid, mode=mode, padding_mode="zeros", align_corners=False).to(image.dtype)


@lru_cache(maxsize=8)
def _cubic_weights(side: int, spacing: float) -> torch.Tensor:
    """Weigh the control points for each pixel, `(side, points)`: a matrix product is the fastest interpolation."""
    (points, _) = control_points((side, side), spacing)
    places = (torch.arange(side) - (side - 1) / 2) / spacing + (points - 1) / 2
    away = (places[:, None] - torch.arange(points)).abs()
    near = (1.5 * away - 2.5) * away**2 + 1
    far = ((2.5 - 0.5 * away) * away - 4) * away + 2
    return torch.where(away < 1, near, torch.where(away < 2, far, 0))
