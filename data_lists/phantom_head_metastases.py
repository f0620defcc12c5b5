"""Brain metastases of a CT phantom head: where they lie, how they look without and with contrast, and their oedema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data_lists.phantom_head_brain import GREY_HU, WHITE_HU
from data_lists.phantom_head_frame import Field, Frame, Points, ramp
from data_lists.phantom_head_lumps import draw_lump, random_spot

Look = Literal["bright", "equal", "dark", "ring"]
_LOOKS: tuple[Look, ...] = get_args(Look)
_LOOK_ODDS = (0.3, 0.2, 0.2, 0.3)
_COUNT_ODDS = (0.35, 0.25, 0.15, 0.12, 0.08, 0.05)  # one to six
_FIRST_RADIUS_MM, _RADIUS_MM = (6.5, 15.0), (2.5, 13.0)  # the first is large enough to be seen
_LARGEST_BELOW_MM = 10.0  # there is less room in the hindbrain
_BELOW_ODDS, _OEDEMA_ODDS = 0.2, 0.85
_TISSUE_HU = (GREY_HU + WHITE_HU) / 2
_APART_MM = 4.0


@dataclass(frozen=True)
class Metastasis:
    """One lesion.

    Attributes:
        centre_mm: (3,) in the standard head.
        radius_mm: of the lesion without oedema.
        oedema_mm: how far its oedema reaches beyond it; 0: none.
        look: beside brain without contrast.
    """

    centre_mm: NDArray[np.float64]
    radius_mm: float
    oedema_mm: float
    look: Look


def draw_metastases(rng: np.random.Generator, frame: Frame, cavity: Field) -> list[Metastasis]:
    """Draw one to six lesions at the grey/white junction or in the cerebellum; those of one head look alike.

    Args:
        rng: random numbers.
        frame: the (coarse) grid.
        cavity: distance in mm inside the skull on it.
    """
    _, y, z = frame.points()
    inner = np.zeros(cavity.shape, dtype=bool)
    inner[1:-1] = True  # a lesion of the outermost slices would hardly be in the picture
    above = inner & (z > -6 + np.float32(0.1) * y) & (cavity > 9) & (cavity < 24)
    below = inner & (z < -20) & (z > -50) & (y > 26) & (cavity > 10)
    looks = [_LOOKS[number] for number in rng.choice(len(_LOOKS), size=2, p=_LOOK_ODDS)]
    found: list[Metastasis] = []
    for _ in range(1 + int(rng.choice(len(_COUNT_ODDS), p=_COUNT_ODDS))):
        low = bool(rng.uniform() < _BELOW_ODDS)
        centre = random_spot(rng, frame, below if low and below.any() else above)
        if centre is None:
            continue
        drawn = _draw_one(rng, centre, look=looks[rng.integers(2)], low=low, first=not found)
        if all(_are_apart(drawn, other) for other in found):
            found.append(drawn)
    return found


def _draw_one(
    rng: np.random.Generator, centre_mm: NDArray[np.float64], *, look: Look, low: bool, first: bool
) -> Metastasis:
    """Draw size and oedema of a lesion."""
    smallest, largest = _FIRST_RADIUS_MM if first else _RADIUS_MM
    radius_mm = smallest * (largest / smallest) ** (rng.uniform() ** 1.3)
    radius_mm = min(radius_mm, _LARGEST_BELOW_MM) if low else radius_mm
    swollen = first or rng.uniform() < _OEDEMA_ODDS
    oedema_mm = rng.uniform(0.5, 1.1) * radius_mm + rng.uniform(4, 10) if swollen else 0.0
    return Metastasis(centre_mm, float(radius_mm), float(oedema_mm), look)


def _are_apart(one: Metastasis, other: Metastasis) -> bool:
    distance = float(np.linalg.norm(one.centre_mm - other.centre_mm))
    return distance > one.radius_mm + other.radius_mm + _APART_MM


def press(points: Points, lesions: Sequence[Metastasis]) -> tuple[Points, Field]:
    """Push the midline away from the lesions.

    Returns:
        The bent x, y and z, and the pressure, 0 to 1, that narrows sulci and ventricles; each of shape (S, R, C).
    """
    x, y, z = points
    pressure, shift_mm = np.zeros_like(x), np.zeros_like(x)
    for lesion in lesions:
        reach_mm = 1.6 * lesion.radius_mm + lesion.oedema_mm
        squares = np.zeros_like(x)
        for point, centre in zip(points, lesion.centre_mm, strict=True):
            squares += (point - np.float32(centre)) ** 2
        felt = np.exp(squares * np.float32(-1 / (1.3 * reach_mm) ** 2))
        pressure = np.maximum(pressure, felt * np.float32(min(reach_mm / 18, 1)))
        shift_mm += felt * np.float32(np.sign(lesion.centre_mm[0]) * 0.12 * reach_mm)
    return (x + shift_mm, y, z), pressure


def paint_metastasis(
    rng: np.random.Generator, lesion: Metastasis, frame: Frame, *, hu: Field, white: Field, depth: Field
) -> NDArray[np.bool_]:
    """Paint a lesion and its oedema into `hu`.

    Args:
        rng: random numbers.
        lesion: what to paint.
        frame: the scan.
        hu: (S, R, C), changed in place.
        white: share of white matter, same shape; oedema keeps to it, so its edge has fingers.
        depth: distance in mm inside the skull, same shape.

    Returns:
        True in the lesion without its oedema, same shape.
    """
    if lesion.oedema_mm > 0:
        whole_mm = lesion.radius_mm + lesion.oedema_mm
        wet = draw_lump(rng, frame, lesion.centre_mm, radius_mm=whole_mm, rough=0.22)
        share = ramp(wet.inside, 4.0) * np.clip(np.float32(1.15) * white[wet.window] + np.float32(0.08), 0, 1)
        hu[wet.window] -= np.float32(rng.uniform(10, 15)) * share * ramp(depth[wet.window] - 3, 2.0)
    core = draw_lump(rng, frame, lesion.centre_mm, radius_mm=lesion.radius_mm, rough=0.10)
    share = ramp(core.inside, 1.5) * ramp(depth[core.window] - np.float32(2.5), 2.0)
    part = hu[core.window]
    for portion, part_hu in _parts(rng, lesion, core.inside):
        part += share * portion * (np.float32(part_hu) - part)
    marked = np.zeros(hu.shape, dtype=bool)
    marked[core.window] = share > 0.5
    return marked


def _parts(rng: np.random.Generator, lesion: Metastasis, inside: Field) -> list[tuple[Field, float]]:
    """Shares and Hounsfield units of the lesion's parts, in the order in which they are laid."""
    whole = np.ones_like(inside)
    if lesion.look == "bright":
        return [(whole, _TISSUE_HU + rng.uniform(13, 28))]
    if lesion.look == "equal":
        return [(whole, _TISSUE_HU + rng.uniform(-1, 4))]
    if lesion.look == "dark":
        return [(whole, _TISSUE_HU - rng.uniform(8, 15))]
    rim_mm = 1.2 + rng.uniform(0.25, 0.45) * lesion.radius_mm
    centre = ramp(inside - np.float32(rim_mm), 1.5)
    return [(whole, _TISSUE_HU + rng.uniform(13, 30)), (centre, _TISSUE_HU - rng.uniform(8, 18))]
