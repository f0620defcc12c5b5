"""How often and how far slices are moved at random."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AffineRange:
    """How far slices are rotated, shifted and scaled.

    Args:
        prob: probability of the three together, 0..1.
        rotate_degrees: greatest rotation about the middle, either way.
        shift_pixels: greatest shift along either axis, either way.
        scale: greatest change of size along either axis, as a fraction, either way.

    Raises:
        ValueError: a setting is out of range.
    """

    prob: float = 0.5
    rotate_degrees: float = 15.0
    shift_pixels: float = 12.0
    scale: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 0 <= self.prob <= 1 or min(self.rotate_degrees, self.shift_pixels) < 0 or not 0 <= self.scale < 1:
            raise ValueError(f"affine: expected prob and scale in 0..1, the others at least 0, got {self}")


@dataclass(frozen=True)
class ElasticRange:
    """How far slices are bent: points of a coarse grid are shifted, and what lies between them follows smoothly.

    Args:
        prob: probability, 0..1.
        spacing_pixels: from point to point.
        magnitude_pixels: least and greatest standard deviation of the shifts along each axis.

    Raises:
        ValueError: a setting is out of range.
    """

    prob: float = 0.2
    spacing_pixels: float = 32.0
    magnitude_pixels: tuple[float, float] = (1.0, 4.0)

    def __post_init__(self) -> None:
        """Check the settings."""
        least, greatest = self.magnitude_pixels
        if not 0 <= self.prob <= 1 or self.spacing_pixels < 1 or not 0 <= least <= greatest:
            raise ValueError(f"elastic: expected prob in 0..1, spacing from 1, magnitudes least first, got {self}")
