"""What the parts of a CT phantom's brain have in common: how a head differs from others, and where its borders run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_lists.phantom_head_frame import Field, Points, ellipsoid


@dataclass(frozen=True)
class Traits:
    """What differs between healthy heads.

    Attributes:
        atrophy: 0 (young) to 1: wide sulci and ventricles.
        asymmetry: -0.35 to 0.35: how much wider the left ventricle is.
        leukoaraiosis_mm: reach of dark white matter around the ventricles.
        vessel_hu: brightness of blood in large vessels.
        contrast: grey minus white matter, relative to the mean head.
    """

    atrophy: float
    asymmetry: float
    leukoaraiosis_mm: float
    vessel_hu: float
    contrast: float


@dataclass(frozen=True)
class Folds:
    """Random fields of shape (S, R, C).

    Attributes:
        sulcus: distance in mm, at least 0, to the middle of the nearest fold of the surface.
        broad: noise of mean 0 and standard deviation 1, about 2 cm wide.
        fine: the same, a few mm wide.
    """

    sulcus: Field
    broad: Field
    fine: Field


@dataclass(frozen=True)
class Outline:
    """Where the brain lies; fields of shape (S, R, C), distances in mm, positive inside.

    Attributes:
        points: x, y and z.
        depth: inside the surface of the brain.
        tent: above the tentorium and its continuation.
        hind: True in the hindbrain, below the tentorium.
        stem: inside the brain stem.
        insula: at least 0, to the surface of the insula.
        pressure: 0 to 1, how much masses narrow sulci and ventricles.
    """

    points: Points
    depth: Field
    tent: Field
    hind: NDArray[np.bool_]
    stem: Field
    insula: Field
    pressure: Field


def draw_traits(rng: np.random.Generator, *, contrast: bool) -> Traits:
    """Draw one head; contrast agent brightens its vessels."""
    return Traits(
        atrophy=float(rng.beta(1.3, 1.6)),
        asymmetry=float(rng.uniform(-0.35, 0.35)),
        leukoaraiosis_mm=float(max(rng.normal(1.0, 5.0), 0.0)),
        vessel_hu=float(rng.uniform(52, 64) + 35 * contrast),
        contrast=float(rng.uniform(0.8, 1.25)),
    )


def outline_brain(points: Points, cavity: Field, *, traits: Traits, folds: Folds, pressure: Field) -> Outline:
    """Find the borders of a brain in its skull.

    Args:
        points: x, y, z, bent by whatever pushes the midline.
        cavity: distance in mm inside the skull.
        traits: of this head.
        folds: random fields.
        pressure: 0 to 1, how much masses narrow sulci and ventricles.
    """
    x, y, z = points
    side = np.abs(x)
    falling = side * np.float32(0.40) + np.maximum(y - 30, 0) ** 2 * np.float32(0.005)
    tent = np.asarray((z + 4 + falling) * np.float32(0.9), dtype=np.float32)
    pons = ellipsoid(points, (0.0, 11.0, -27.0), (15.0, 13.0, 20.0))
    medulla = np.minimum(8 - np.hypot(x, y - 21), -35 - z)
    over = np.maximum(np.abs(z - 3) - 11, 0)
    insula = np.hypot(side - 40 + np.float32(0.012) * (y + 2) ** 2, over) + np.maximum(np.abs(y + 2) - 20, 0)
    gap = np.float32(1.5 + 2.5 * traits.atrophy) + np.float32(0.5) * folds.broad - 2 * pressure
    stem = np.maximum(pons, medulla)
    return Outline(points, cavity - gap, tent, (tent < 0) & (y > 2), stem, insula, pressure)
