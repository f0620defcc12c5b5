"""Intensity filters of one windowed CT slice that neither draw on the background nor spill into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from custom_transforms.planes import planes

Slice = NDArray[np.float32]
Mask = NDArray[np.bool_]
Filter = Callable[[Slice, Mask], Slice]

LEAST_INSIDE = 1e-6  # brain stays told from background, which is exactly 0
CLAHE_LEVELS = 255  # of uint8: steps of 0.3 HU in a window of 80 HU, well below a CT's noise
# Pillow's ImageFilter.SMOOTH, from which its ImageEnhance.Sharpness, AutoAugment (Cubuk et al., CVPR 2019) and
# torchvision's adjust_sharpness take their "sharpness 2": twice the image less once the smoothed one.
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


@dataclass(frozen=True)
class MildFilters:
    """Gamma, then a slight blur.

    Args:
        prob: probability of each filter, 0..1.
        gamma: range of the exponent.
        blur_sigma: of the 3x3 Gaussian, in pixels.

    Raises:
        ValueError: a setting is out of range.
    """

    prob: float = 0.7
    gamma: tuple[float, float] = (0.95, 1.05)
    blur_sigma: float = 0.5

    def __post_init__(self) -> None:
        """Check the settings."""
        _check(self.prob, self.gamma, blur_sigma=self.blur_sigma)

    def filters(self, place: float) -> tuple[Filter, ...]:
        """Return the filters in order; `place` in 0..1 chooses gamma from its range."""
        return partial(apply_gamma, exponent=_between(self.gamma, place)), partial(blur, sigma=self.blur_sigma)


@dataclass(frozen=True)
class StrongFilters:
    """Gamma, then local contrast, then sharpening.

    Args:
        prob: probability of each filter, 0..1.
        gamma: range of the exponent.
        clahe_clip: OpenCV's clip limit, a multiple of a flat histogram's height.
        clahe_tiles: rows and columns of tiles in a slice.
        sharpness: 1 changes nothing, 2 adds once what smoothing takes away.

    Raises:
        ValueError: a setting is out of range.
    """

    prob: float = 0.5
    gamma: tuple[float, float] = (0.9, 1.1)
    clahe_clip: float = 2.0
    clahe_tiles: tuple[int, int] = (8, 8)
    sharpness: float = 2.0

    def __post_init__(self) -> None:
        """Check the settings."""
        _check(self.prob, self.gamma, clahe_clip=self.clahe_clip, sharpness=self.sharpness)

    def filters(self, place: float) -> tuple[Filter, ...]:
        """Return the filters in order; `place` in 0..1 chooses gamma from its range."""
        return (
            partial(apply_gamma, exponent=_between(self.gamma, place)),
            partial(equalise, clip=self.clahe_clip, tiles=self.clahe_tiles),
            partial(sharpen, strength=self.sharpness),
        )


def apply_gamma(image: Slice, inside: Mask, *, exponent: float) -> Slice:
    """Raise values to a power: above 1 darkens, below 1 brightens, and both ends of the window stay.

    Args:
        image: `(H, W)` in 0..1; so for all filters here.
        inside: `(H, W)`, True in the brain; so for all filters here.
        exponent: gamma.

    Returns:
        `(H, W)` float32, 0 outside, `LEAST_INSIDE`..1 inside; so for all filters here.
    """
    return _only_inside(image**exponent, inside)


def blur(image: Slice, inside: Mask, *, sigma: float) -> Slice:
    """Smooth with a 3x3 Gaussian of `sigma` pixels."""
    row = np.exp(-(np.arange(-1, 2) ** 2) / (2 * sigma**2))
    return _only_inside(_mean_inside(image, inside, np.outer(row, row) / row.sum() ** 2), inside)


def sharpen(image: Slice, inside: Mask, *, strength: float) -> Slice:
    """Add `strength` - 1 times what `SMOOTH` takes away."""
    smooth = _mean_inside(image, inside, SMOOTH)
    return _only_inside(smooth + strength * (image - smooth), inside)


def equalise(image: Slice, inside: Mask, *, clip: float, tiles: tuple[int, int]) -> Slice:
    """Spread the grey levels of each tile over the window, up to a limit of contrast (CLAHE).

    OpenCV's limit is `clip` * tile pixels / histogram bins, at least one. With uint16 that is one for any usual clip,
    since a tile of 32x32 meets 65536 bins: the limit would have no effect. Hence uint8.

    Reference: Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994.
    """
    levels = np.rint(image * CLAHE_LEVELS).astype(np.uint8)
    equalised = planes.equalise_tiles(levels, clip, tiles)
    return _only_inside(np.divide(equalised, CLAHE_LEVELS, dtype=np.float32), inside)


def _mean_inside(image: Slice, inside: Mask, kernel: NDArray[np.floating]) -> Slice:
    """Take a weighted mean over neighbours in the brain, so that background does not darken the brain's edge.

    Reference: Knutsson and Westin, "Normalized and differential convolution", CVPR 1993.
    """
    weights = planes.correlate(inside.astype(np.float32), kernel)
    total = planes.correlate(np.where(inside, image, 0), kernel)
    return np.divide(total, weights, out=np.zeros_like(image), where=inside)


def _only_inside(image: Slice, inside: Mask) -> Slice:
    return np.where(inside, np.clip(image, LEAST_INSIDE, 1), 0).astype(np.float32)


def _between(limits: tuple[float, float], place: float) -> float:
    low, high = limits
    return low + (high - low) * place


def _check(prob: float, gamma: tuple[float, float], **above_zero: float) -> None:
    if not 0 <= prob <= 1:
        raise ValueError(f"prob: expected 0..1, got {prob}")
    if len(gamma) != 2 or not 0 < gamma[0] <= gamma[1]:
        raise ValueError(f"gamma: expected two exponents above 0, the lower first, got {gamma}")
    for name, number in above_zero.items():
        if number <= 0:
            raise ValueError(f"{name}: expected above 0, got {number}")
