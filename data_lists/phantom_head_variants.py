"""Harmless findings of a CT phantom head, drawn alike with and without metastases: no bright or dark spot decides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_lists.phantom_head_frame import Field, Frame, Triple, ramp
from data_lists.phantom_head_lumps import draw_lump, random_spot

_CALCIFIED = {  # place, radius in mm and odds; those beside the midline are paired
    "plexus": ((24.0, 34.0, 8.0), 3.5, 0.6),
    "pineal": ((0.0, 27.0, 1.0), 2.5, 0.6),
    "basal ganglia": ((20.0, -2.0, 3.0), 3.5, 0.2),
}
_FALX_ODDS, _BLOB_ODDS, _LACUNE_ODDS, _SCAR_ODDS = 0.3, 0.65, 0.4, 0.2
_BLOB_RADIUS_MM = (3.0, 11.0)
_CALCIFIED_BLOB_ODDS = 0.25


class Canvas(NamedTuple):
    """What is painted on, and where.

    Attributes:
        fine: the scan.
        hu: (S, R, C), changed in place.
        depth: distance in mm inside the skull, same shape.
        coarse: a coarser grid of the same scan, on which places are looked for.
        cavity: distance in mm inside the skull on the coarser grid.
    """

    fine: Frame
    hu: Field
    depth: Field
    coarse: Frame
    cavity: Field


def paint_variants(rng: np.random.Generator, canvas: Canvas) -> None:
    """Paint calcifications, harmless bright blobs, lacunes and old scars."""
    for place, radius_mm, odds in _CALCIFIED.values():
        if rng.uniform() < odds:
            _calcify(rng, canvas, place, radius_mm=radius_mm)
    _paint_bright(rng, canvas)
    _paint_dark(rng, canvas)


def _calcify(rng: np.random.Generator, canvas: Canvas, place: Triple, *, radius_mm: float) -> None:
    """Paint the calcified spots of one structure."""
    for sign in (-1.0, 1.0) if place[0] else (1.0,):
        spot = np.array(place) * [sign, 1, 1] + rng.normal(0, 1.2, 3)
        _dab(rng, canvas, spot, radius_mm=radius_mm * rng.uniform(0.5, 1.1), hu=rng.uniform(70, 260))


def _paint_bright(rng: np.random.Generator, canvas: Canvas) -> None:
    """Paint a calcified falx, and blobs like small meningiomas or old blood at the falx or below the skull."""
    x, _, z = canvas.coarse.points()
    cavity = canvas.cavity
    if rng.uniform() < _FALX_ODDS:
        falx = (np.abs(x) < 2) & (cavity > 2) & (cavity < 20) & (z > 10)
        _dab(rng, canvas, random_spot(rng, canvas.coarse, falx), radius_mm=rng.uniform(2, 4), hu=rng.uniform(80, 300))
    if rng.uniform() > _BLOB_ODDS:
        return
    smallest, largest = _BLOB_RADIUS_MM
    below_skull = (cavity > 3) & (cavity < 9)
    at_falx = (np.abs(x) < 7) & (cavity > 4) & (cavity < 28)
    for _ in range(int(rng.choice([1, 2], p=[0.7, 0.3]))):
        hu = rng.uniform(80, 200) if rng.uniform() < _CALCIFIED_BLOB_ODDS else rng.uniform(50, 68)
        radius_mm = smallest * (largest / smallest) ** rng.uniform()
        spot = random_spot(rng, canvas.coarse, (below_skull | at_falx) & (z > 0))
        _dab(rng, canvas, spot, radius_mm=radius_mm, hu=hu)


def _paint_dark(rng: np.random.Generator, canvas: Canvas) -> None:
    """Paint lacunes in the depth, and a scar of the cortex, which is as dark as fluid and pushes nothing."""
    x, y, z = canvas.coarse.points()
    side, cavity = np.abs(x), canvas.cavity
    if rng.uniform() < _LACUNE_ODDS:
        deep = (cavity > 22) & (side > 9) & (side < 34) & (z > -4) & (z < 30) & (np.abs(y) < 40)
        for _ in range(int(rng.integers(1, 5))):
            spot = random_spot(rng, canvas.coarse, deep)
            _dab(rng, canvas, spot, radius_mm=rng.uniform(1.8, 4.5), hu=rng.uniform(6, 16))
    if rng.uniform() < _SCAR_ODDS:
        outer = (cavity > 4) & (cavity < 14) & (z > -2) & (z < 50) & (side > 15)
        _dab(rng, canvas, random_spot(rng, canvas.coarse, outer), radius_mm=rng.uniform(7, 16), hu=rng.uniform(8, 18))


def _dab(
    rng: np.random.Generator, canvas: Canvas, spot: NDArray[np.float64] | None, *, radius_mm: float, hu: float
) -> None:
    """Paint one lump of even brightness within the skull; nothing where there is no spot for it."""
    if spot is None:
        return
    lump = draw_lump(rng, canvas.fine, spot, radius_mm=radius_mm, rough=0.12)
    part = canvas.hu[lump.window]
    part += ramp(lump.inside, 1.6) * ramp(canvas.depth[lump.window], 1.5) * (np.float32(hu) - part)
