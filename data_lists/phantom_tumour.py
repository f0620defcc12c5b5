"""Tumours of an MRI phantom patient: nested, irregular regions that keep to the anatomy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_lists.phantom_anatomy import Anatomy
from data_lists.phantom_grid import Field, Grid, smooth_noise

_TUMOUR_COUNT_ODDS = (0.6, 0.27, 0.13)  # one, two, three
_DIAMETER_MM = (15.0, 60.0)  # of the whole tumour, before anatomy cuts it
_UNUSUAL_ODDS = 0.1  # no enhancing part, and as often no necrosis: rare in glioblastoma
_RIM_MM = (2.6, 6.0)


@dataclass(frozen=True)
class Tumours:
    """Distances in mm, positive inside, of shape (h, w, s); each region lies inside the one before it.

    Attributes:
        inside_whole: oedema, enhancing rim and necrosis.
        inside_core: enhancing rim and necrosis.
        inside_necrosis: necrosis.
    """

    inside_whole: Field
    inside_core: Field
    inside_necrosis: Field


def grow_tumours(rng: np.random.Generator, grid: Grid, anatomy: Anatomy) -> Tumours:
    """Grow one to three tumours in the cerebral white matter of a patient."""
    grown = [_grow_one(rng, grid, anatomy) for _ in range(rng.choice([1, 2, 3], p=_TUMOUR_COUNT_ODDS))]
    whole, core, necrosis = (np.maximum.reduce(fields) for fields in zip(*grown, strict=True))
    return Tumours(whole, core, np.minimum(necrosis, core))


def _grow_one(rng: np.random.Generator, grid: Grid, anatomy: Anatomy) -> tuple[Field, Field, Field]:
    """Distances inside the whole, the core and the necrosis of one tumour."""
    smallest, largest = _DIAMETER_MM
    whole_mm = smallest / 2 * (largest / smallest) ** (rng.uniform() ** 0.75)
    core_mm = whole_mm * rng.uniform(0.45, 0.7)
    rim_mm, unusual = rng.uniform(*_RIM_MM), rng.uniform()
    if unusual < _UNUSUAL_ODDS:
        rim_mm = 0.0  # all core is non-enhancing, labelled as necrosis
    elif unusual > 1 - _UNUSUAL_ODDS:
        rim_mm = 2 * whole_mm  # all core enhances
    distance = _distance_to_centre(rng, grid)
    coarse, fine = smooth_noise(rng, grid, max(0.7 * whole_mm, 8.0)), smooth_noise(rng, grid, 7.0)
    room = np.minimum(anatomy.inside_brain - 1.5, -0.5 - anatomy.inside_ventricle)
    core = np.minimum(core_mm - distance + 0.2 * core_mm * coarse + 0.08 * core_mm * fine, room)
    rim = max(rim_mm, 1e-9) * np.clip(1 + 0.35 * smooth_noise(rng, grid, 9.0), 0.6, None) if rim_mm else 0.0
    fingers = smooth_noise(rng, grid, 12.0)
    spread = whole_mm - distance + whole_mm * (0.2 * coarse + 0.14 * fingers)
    in_white_matter = np.minimum(room, anatomy.to_csf - 2.5)  # stops at the cortex, so gyri become its fingers
    return np.maximum(np.minimum(spread, in_white_matter), core), core, core - rim


def _distance_to_centre(rng: np.random.Generator, grid: Grid) -> Field:
    """Distance in mm, shape (h, w, s), to a random centre in a hemisphere, stretched to an ellipsoid's."""
    centre = _draw_centre(rng)
    stretch = rng.uniform(0.8, 1.25, size=3)
    stretch /= np.prod(stretch) ** (1 / 3)  # keeps the volume
    squares = [((p - c) / s) ** 2 for p, c, s in zip(grid.points(), centre, stretch, strict=True)]
    return np.asarray(np.sqrt(squares[0] + squares[1] + squares[2]), dtype=np.float64)


def _draw_centre(rng: np.random.Generator) -> tuple[float, float, float]:
    """A position in mm between the ventricles and the cortex of either hemisphere."""
    while True:
        side, back, up = rng.uniform(18, 52), rng.uniform(-60, 60), rng.uniform(-8, 45)
        depth = np.sqrt((side / 66) ** 2 + (back / 84) ** 2 + ((up - 8) / 56) ** 2)
        if depth < 0.72:
            return float(side * rng.choice([-1, 1])), float(back), float(up)
