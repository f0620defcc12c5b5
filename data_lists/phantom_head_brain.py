"""The brain of a CT phantom head: Hounsfield units of its tissues, healthy but of any age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_lists.phantom_head_fluid import fluid_share
from data_lists.phantom_head_frame import Field, Points, ellipsoid, ramp
from data_lists.phantom_head_outline import Folds, Outline, Traits, outline_brain

CSF_HU, GREY_HU, WHITE_HU = 6.0, 38.5, 29.0
_MEMBRANE_HU, _MEMBRANE_SHARE = 54.0, 0.45  # falx and tentorium are thinner than a voxel
_CORTEX_MM = 3.4
_LEUKOARAIOSIS_HU = 8.0


@dataclass(frozen=True)
class Brain:
    """Fields of shape (S, R, C).

    Attributes:
        hu: Hounsfield units of everything within the skull.
        white: share of white matter, 0 to 1.
    """

    hu: Field
    white: Field


def build_brain(points: Points, cavity: Field, *, traits: Traits, folds: Folds, pressure: Field) -> Brain:
    """Fill the skull with brain.

    Args:
        points: x, y, z, bent by whatever pushes the midline.
        cavity: distance in mm inside the skull.
        traits: of this head.
        folds: random fields.
        pressure: 0 to 1, how much masses narrow sulci and ventricles.
    """
    outline = outline_brain(points, cavity, traits=traits, folds=folds, pressure=pressure)
    fluid = fluid_share(outline, traits=traits, folds=folds)
    white = _white(outline, folds) * (1 - fluid)
    hu = np.float32(GREY_HU) - white * np.float32((GREY_HU - WHITE_HU) * traits.contrast)
    hu = np.where(outline.hind, hu * np.float32(0.5) + np.float32(17.5), hu)  # finely mixed in the cerebellum
    hu += np.float32(0.7) * folds.fine
    if traits.leukoaraiosis_mm > 0:
        hu -= _leukoaraiosis(points, traits, folds) * white
    hu += fluid * (np.float32(CSF_HU) - hu)
    _lay_membranes(hu, outline, cavity, traits)
    return Brain(hu, white)


def _white(outline: Outline, folds: Folds) -> Field:
    """Share of white matter: away from the cortex and from the deep nuclei."""
    x, y, z = outline.points
    side = np.abs(x)
    cortex = np.minimum(np.hypot(folds.sulcus, np.maximum(outline.depth - 15, 0)), outline.depth)
    cortex = np.minimum(cortex, np.hypot(side - 2, np.maximum(outline.depth - 30, 0)))
    cortex = np.minimum(cortex, outline.insula)
    thalamus = ellipsoid((side, y, z), (11.0, 10.0, 3.0), (8.0, 14.0, 9.0))
    putamen = ellipsoid((side - np.float32(0.15) * y, y, z), (25.0, -3.0, 4.0), (5.5, 17.0, 10.0))
    caudate = ellipsoid((side, y, z), (13.0, -24.0, 10.0), (4.5, 9.0, 10.0))
    nuclei = np.maximum(np.maximum(thalamus, putamen), caudate)
    cerebrum = ramp(np.minimum(cortex - np.float32(_CORTEX_MM), -nuclei), 2.5)
    return np.where(outline.hind, ramp(outline.depth - 9 + 2 * folds.broad, 6.0), cerebrum)


def _leukoaraiosis(points: Points, traits: Traits, folds: Folds) -> Field:
    """How much darker the white matter is near the ventricles, in HU, alike on both sides."""
    x, y, z = points
    side = np.abs(x) - np.float32(0.004) * y * y
    near = ellipsoid((side, y, z), (10.0, 2.0, 18.0), (11.0, 46.0, 13.0))
    reach = near + np.float32(traits.leukoaraiosis_mm - 3) + 2 * folds.broad
    return np.float32(_LEUKOARAIOSIS_HU) * ramp(reach, 6.0)


def _lay_membranes(hu: Field, outline: Outline, cavity: Field, traits: Traits) -> None:
    """Lay falx, tentorium, the large sinuses and the arteries of the base over the brain, in place."""
    x, y, z = outline.points
    side, tent = np.abs(x), outline.tent
    falx = np.hypot(side, np.maximum(cavity - 30, 0) + np.maximum(-8 - z, 0)) + 9 * (tent < 0).astype(np.float32)
    leaf = np.abs(tent) + np.maximum(4 - y, 0) + np.where(y < 32, np.maximum(13 - side, 0), np.float32(0))
    sagittal = np.hypot(side, cavity - np.float32(2.5)) + np.maximum(-12 - z, 0) + np.maximum(-70 - y, 0)
    transverse = np.hypot(tent, cavity - 3) + np.maximum(30 - y, 0)
    basilar = np.hypot(side, np.hypot(y + 4, np.maximum(np.abs(z + 20) - 6, 0)))
    bend = y + 9 + np.float32(2.5) * np.sin(side / 6)
    middle = np.hypot(bend, z + 15 - np.float32(0.15) * side) + np.maximum(side - 34, 0)
    sinus = np.float32(3.8) - np.minimum(sagittal, transverse)
    vessel = np.maximum(sinus, np.maximum(np.float32(2.2) - basilar, np.float32(1.3) - middle))
    sheet = ramp(np.float32(0.8) - np.minimum(falx, leaf), 1.8)
    hu += np.float32(_MEMBRANE_SHARE) * sheet * (np.float32(_MEMBRANE_HU) - hu)
    hu += ramp(vessel, 2.0) * (np.float32(traits.vessel_hu) - hu)
