"""The healthy, skull-stripped brain of an MRI phantom patient, as distances in mm.

The sizes are those of an adult brain, rounded, and each patient's head is warped and scaled a little. It is a stylised
brain: right in topology and in the order of its tissues, not an atlas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_lists.phantom_grid import Field, Grid, Points, smooth_noise, wandering_sheet

_SULCUS_SPACING_MM = 11.0
_FISSURE_DEPTH_MM = 31.0  # the corpus callosum begins this deep below the top of the brain


@dataclass(frozen=True)
class Anatomy:
    """Distances in mm of shape (h, w, s); those named `inside` are positive inside their structure.

    Attributes:
        inside_brain: to the outer surface of the brain.
        to_csf: to the nearest cerebrospinal fluid of surface, sulcus or fissure, at least 0 inside the brain.
        to_falx: to the sheet between the hemispheres.
        inside_ventricle: to the wall of the ventricles.
        inside_nuclei: to the surface of the deep grey nuclei.
        inside_plexus: to the surface of the choroid plexus, which takes up contrast agent.
        inside_vessel: to the wall of vessels in the sulci and of the sagittal sinus.
    """

    inside_brain: Field
    to_csf: Field
    to_falx: Field
    inside_ventricle: Field
    inside_nuclei: Field
    inside_plexus: Field
    inside_vessel: Field


def build_anatomy(rng: np.random.Generator, grid: Grid) -> Anatomy:
    """Draw one patient's healthy brain."""
    points = _warped_points(rng, grid)
    side, back, up = np.abs(points[0]), points[1], points[2]
    cerebrum, hindbrain, stem = _outlines(side, back, up)
    fore = np.minimum(cerebrum, -hindbrain)  # the tentorium is where both are zero
    depth = np.maximum(np.maximum(fore, hindbrain), stem)
    fold = wandering_sheet(rng, grid, _SULCUS_SPACING_MM)
    sulcus_depth = 17.0 + 5.0 * smooth_noise(rng, grid, 30.0)
    sulcus = np.hypot(fold, np.maximum(depth - sulcus_depth, 0))
    falx = np.hypot(side, np.maximum(depth - _FISSURE_DEPTH_MM, 0))
    folia = np.hypot(
        _folia(rng, grid, back=back, up=up), np.maximum(depth - 9.0, 0) + 0.5
    )  # the cerebellum's core is white
    to_csf = np.minimum(depth, np.where(fore > 0, np.minimum(sulcus, falx), folia))
    to_csf = np.where(stem > 0, np.maximum(to_csf, stem + 2.5), to_csf)  # the stem has no cortex
    ventricle = _ventricles(rng, side, back, up)
    plexus = np.minimum(_ellipsoid((side, back, up), (13.0, 20.0, 12.0), (3.0, 10.0, 3.5)), ventricle)
    outline = np.maximum(np.maximum(cerebrum, hindbrain), stem) + 1.0
    vessel = _vessels(rng, grid, fold=fold, depth=depth, side=np.where(up > -10, side, 99.0))
    return Anatomy(outline, to_csf, np.where(fore > 0, falx, 99.0), ventricle, _nuclei(side, back, up), plexus, vessel)


def _warped_points(rng: np.random.Generator, grid: Grid) -> Points:
    """Coordinates in the standard head: this patient's are scaled, and bent by a few mm."""
    scale = rng.uniform(0.93, 1.06)
    first, second, third = (
        point / (scale * rng.uniform(0.97, 1.03)) + 2.5 * smooth_noise(rng, grid, 45.0) for point in grid.points()
    )
    return first, second, third


def _ellipsoid(points: Points, centre_mm: tuple[float, float, float], radii_mm: tuple[float, float, float]) -> Field:
    """Distance to an ellipsoid, positive inside; exact on a sphere, close to exact near any surface."""
    scaled = [(p - c) / r for p, c, r in zip(points, centre_mm, radii_mm, strict=True)]
    radius = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    gradient = np.sqrt(sum((s / r) ** 2 for s, r in zip(scaled, radii_mm, strict=True)))
    return np.asarray(radius * (1 - radius) / np.maximum(gradient, 1e-6), dtype=np.float64)


def _outlines(side: Field, back: Field, up: Field) -> tuple[Field, Field, Field]:
    """Distances inside cerebrum, cerebellum and brain stem."""
    taper = side * (1.0 - 0.0018 * back)  # the brain is wider behind than in front
    flat_below = np.where(up < 8, 8 + (up - 8) * 1.4, up)
    hemisphere = _ellipsoid((taper, back, flat_below), (12.0, 0.0, 8.0), (56.0, 86.0, 58.0))
    temporal = _ellipsoid((side, back, up), (43.0, -6.0, -26.0), (23.0, 42.0, 22.0))
    cerebellum = _ellipsoid((side, back, up), (16.0, 42.0, -37.0), (37.0, 31.0, 25.0))
    stem = _ellipsoid((side, back, up), (0.0, 15.0, -42.0), (13.0, 12.0, 32.0))
    return np.maximum(hemisphere, temporal), cerebellum, stem


def _folia(rng: np.random.Generator, grid: Grid, *, back: Field, up: Field) -> Field:
    """Distance to the nearest of the parallel fissures of the cerebellum, 6 mm apart."""
    turns = (0.85 * back + 0.55 * up) / 6.0 + 0.5 * smooth_noise(rng, grid, 18.0)
    return np.abs(turns - np.floor(turns) - 0.5) * 6.0


def _ventricles(rng: np.random.Generator, side: Field, back: Field, up: Field) -> Field:
    """Distance inside the lateral, third and fourth ventricles; their width differs much between patients."""
    width = rng.uniform(0.6, 1.4)
    bent = side - 0.006 * back**2, back, up + 0.004 * back**2
    lateral = _ellipsoid(bent, (5.0 + 2 * width, 2.0, 16.0), (5.5 * width, 38.0, 8.0 * width))
    third = _ellipsoid((side, back, up), (0.0, 4.0, -2.0), (2.5 * width, 13.0, 9.0))
    fourth = _ellipsoid((side, back, up), (0.0, 29.0, -38.0), (7.0, 4.0, 8.0))
    return np.maximum(np.maximum(lateral, third), fourth)


def _nuclei(side: Field, back: Field, up: Field) -> Field:
    """Distance inside thalamus, putamen and head of the caudate nucleus."""
    points = side, back, up
    thalamus = _ellipsoid(points, (11.0, 10.0, 3.0), (8.0, 14.0, 9.0))
    putamen = _ellipsoid((side - 0.15 * back, back, up), (26.0, -3.0, 4.0), (5.0, 16.0, 10.0))
    caudate = _ellipsoid(points, (13.0, -22.0, 10.0), (4.5, 10.0, 9.0))
    return np.maximum(np.maximum(thalamus, putamen), caudate)


def _vessels(rng: np.random.Generator, grid: Grid, *, fold: Field, depth: Field, side: Field) -> Field:
    """Distance inside cortical vessels, which are curves along the sulci, and inside the sagittal sinus."""
    curve = np.hypot(fold, wandering_sheet(rng, grid, 22.0))
    cortical = np.where(depth < 20, 1.1 - curve, -99.0)
    sinus = 3.0 - np.hypot(side, depth - 1.5)
    return np.maximum(cortical, sinus)
