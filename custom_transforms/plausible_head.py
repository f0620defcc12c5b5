"""Tell whether an image is a CT of a head, with enough brain, in Hounsfield units; refuse it otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from custom_transforms.brain_shapes import closed_and_filled
from custom_transforms.refusal import RefusedError

Volume = NDArray[np.float32]
Range = tuple[float, float]

GRID_MM = 2.0  # the image is judged at about this pixel size: cheap, and finer than the skull is thick
AIR_HU = -500.0  # half way between air and water
LEAST_AIR = 0.05  # part of the image; the corners of the square around an ellipse are a fifth
BONE_HU = 200.0  # above soft tissue with contrast agent, below the thin bone of the temple
DENSE_BONE_HU = 500.0  # any skull has denser bone; an image cut to a soft-tissue window has not
CLOSING_MM = 6.0  # sutures and foramina that a closing bridges, and gaps between ribs or vertebrae that it does not
SOFT_HU = (-10.0, 80.0)  # cerebrospinal fluid to blood
LEAST_AREA_CM2 = 20.0  # a slice of brain has 50 to 180; a vertebral canal has 5
COARSEST_HU = 3.0  # step between stored values; white and grey matter differ by 6 to 10 HU


@dataclass(frozen=True)
class HeadLimits:
    """What a head CT may have; each a knob of `CheckHeadd`.

    Args:
        pixel_mm: pixel spacing; CT of the head has 0.4 to 0.6.
        step_mm: median slice step; thin reconstructions have 0.5, old scanners 10.
        brain_hu: median inside the skull; grey matter has about 37 HU, white matter 28, fluid 5.
        volume_ml: soft tissue inside the skull where it fills `LEAST_AREA_CM2`; adults have 1100 to 1700.
        height_mm: how much of the axis such slices must cover; a whole brain has 100 to 130.
    """

    pixel_mm: Range = (0.2, 1.5)
    step_mm: Range = (0.4, 12.0)
    brain_hu: Range = (15.0, 50.0)
    volume_ml: Range = (500.0, 2500.0)
    height_mm: float = 60.0

    def __post_init__(self) -> None:
        """Refuse limits that make no sense."""
        for name in ("pixel_mm", "step_mm", "volume_ml"):
            low, high = getattr(self, name)
            if not 0 < low < high:
                raise ValueError(f"{name} must be above 0 and ascend, got {(low, high)}")
        if not self.brain_hu[0] < self.brain_hu[1]:
            raise ValueError(f"brain_hu must ascend, got {self.brain_hu}")


LIMITS = HeadLimits()


def check_head(
    hu: Volume, pixel_mm: NDArray[np.float64], positions_mm: NDArray[np.float64], limits: HeadLimits, name: str
) -> None:
    """Judge one volume.

    Args:
        hu: `(S, R, C)`.
        pixel_mm: distance between rows and between columns, `(2,)`.
        positions_mm: ascending, `(S,)`.
        limits: what a head may have.
        name: of the case, for messages.

    Raises:
        RefusedError: `implausible_hu`, `implausible_spacing`, `not_a_head`, `too_little_head`, each with what came.
    """
    if len(positions_mm) != len(hu):
        got = f"{len(positions_mm)} for {len(hu)}"
        raise RefusedError.of("implausible_spacing", name, expected="a position for each slice", got=got)
    _check_values(hu, name)
    steps = np.gradient(positions_mm) if len(positions_mm) > 1 else np.full(1, np.nan)
    step_mm = float(np.median(np.diff(positions_mm))) if len(positions_mm) > 1 else float("nan")
    for what, value, (low, high) in [
        *(("pixels", float(size), limits.pixel_mm) for size in pixel_mm),
        ("slice steps", step_mm, limits.step_mm),
    ]:
        if not low <= value <= high:
            expected = f"{what} of {low:g} to {high:g} mm"
            raise RefusedError.of(
                "implausible_spacing",
                name,
                expected=expected,
                got="a single slice" if np.isnan(value) else f"{value:.2f}",
            )
    stride = max(1, round(GRID_MM / float(pixel_mm.min())))
    coarse = np.ascontiguousarray(hu[:, ::stride, ::stride])
    inside = inside_skull(coarse, CLOSING_MM / (stride * float(pixel_mm.max())))
    pixel_cm2 = float(np.prod(pixel_mm)) * stride**2 / 100
    enclosed = inside.sum(axis=(1, 2)) * pixel_cm2 >= LEAST_AREA_CM2
    _check_tissue(coarse[enclosed][inside[enclosed]], _amount(inside, pixel_cm2, steps), limits, name)
    _check_slices(coarse, inside, LEAST_AREA_CM2 / pixel_cm2, name)
    soft = inside & (coarse > SOFT_HU[0]) & (coarse < SOFT_HU[1])
    _check_amount(_amount(soft, pixel_cm2, steps), limits, name)


def _amount(mask: NDArray[np.bool_], pixel_cm2: float, steps: NDArray[np.float64]) -> tuple[float, float]:
    """Height in mm and volume in ml of the slices where a mask `(S, R, C)` fills `LEAST_AREA_CM2`."""
    area_cm2 = mask.sum(axis=(1, 2)) * pixel_cm2
    kept = area_cm2 >= LEAST_AREA_CM2
    return float(steps[kept].sum()), float((area_cm2 * steps)[kept].sum()) / 10


def inside_skull(hu: Volume, closing_pixels: float) -> NDArray[np.bool_]:
    """Mark, slice by slice, what a shell of bone encloses, the bone left out.

    `hu` is `(S, R, C)`; a closing of `closing_pixels` bridges sutures and foramina.
    """
    reach = max(1, round(closing_pixels))
    row, column = np.abs(np.mgrid[-reach : reach + 1, -reach : reach + 1])
    diamond = (row + column <= reach).view(np.uint8)
    bone = (hu > BONE_HU).view(np.uint8)
    return closed_and_filled(bone, diamond) > bone


def _check_values(hu: Volume, name: str) -> None:
    low, high = float(hu.min()), float(hu.max())
    if not np.isfinite([low, high]).all():
        raise RefusedError.of("implausible_hu", name, expected="finite values", got="NaN or infinity")
    air = float((hu[:, ::4, ::4] < AIR_HU).mean())
    if air < LEAST_AIR or high < DENSE_BONE_HU:
        expected = f"air below {AIR_HU:g} HU around the head and bone above {DENSE_BONE_HU:g}"
        raise RefusedError.of(
            "implausible_hu", name, expected=expected, got=f"{100 * air:.0f} % air, {low:g} to {high:g}"
        )


def _check_tissue(values: Volume, amount: tuple[float, float], limits: HeadLimits, name: str) -> None:
    """Judge what is inside the shell, `(N,)`; `amount` of it in mm and ml."""
    low, high = limits.brain_hu
    median = float(np.median(values)) if values.size else float("nan")
    is_skull = amount[0] >= limits.height_mm and amount[1] >= limits.volume_ml[0]
    if not is_skull and not low <= median <= high:
        expected, got = "a closed shell of bone around brain tissue", f"one over {amount[0]:.0f} mm, {amount[1]:.0f} ml"
        raise RefusedError.of("not_a_head", name, expected=expected, got=got)
    if not low <= median <= high:
        expected = f"a median of {low:g} to {high:g} HU inside the skull"
        raise RefusedError.of("implausible_hu", name, expected=expected, got=f"{median:.0f}")
    most = np.percentile(values, (5, 95))
    levels = np.unique(np.rint(values[(values >= most[0]) & (values <= most[1])])).size
    if levels < 2 or np.ptp(most) / (levels - 1) > COARSEST_HU:
        expected = f"grey levels in steps of at most {COARSEST_HU:g} HU inside the skull"
        raise RefusedError.of("implausible_hu", name, expected=expected, got=f"{levels} over {np.ptp(most):.0f} HU")


def _check_slices(hu: Volume, inside: NDArray[np.bool_], least_pixels: float, name: str) -> None:
    """Judge each slice that lies between two of brain and is none itself; a spoilt one passes what judges the whole.

    The base and a skull that an operation has opened look so, too. They still show air and bone, and where both
    neighbours have brain, what is no bone is mostly soft tissue.
    """
    brain = np.array([_is_brain(plane[within], least_pixels) for plane, within in zip(hu, inside, strict=True)])
    numbers = np.flatnonzero(brain)
    for number in range(numbers[0], numbers[-1]) if numbers.size else ():
        if brain[number]:
            continue
        plane, place = hu[number], f"in slice {number + 1} of {len(hu)} from the feet"
        low, high = float(plane.min()), float(plane.max())
        if low > AIR_HU or high < BONE_HU:
            expected = f"air below {AIR_HU:g} HU and bone above {BONE_HU:g} in each slice of the head"
            raise RefusedError.of("implausible_hu", name, expected=expected, got=f"{low:g} to {high:g} {place}")
        around = inside[numbers[numbers < number][-1]] & inside[numbers[numbers > number][0]]
        median = _soft_median(plane[around])
        if around.sum() >= least_pixels and not SOFT_HU[0] <= median <= SOFT_HU[1]:
            expected = f"a median of {SOFT_HU[0]:g} to {SOFT_HU[1]:g} HU between slices of brain"
            raise RefusedError.of("implausible_hu", name, expected=expected, got=f"{median:.0f} {place}")


def _is_brain(values: Volume, least_pixels: float) -> bool:
    """Tell whether what a skull encloses in a slice, `(N,)`, is large enough, and soft tissue."""
    return values.size >= least_pixels and SOFT_HU[0] <= float(np.median(values)) <= SOFT_HU[1]


def _soft_median(values: Volume) -> float:
    """Median of what is no bone, `(N,)`; of all where most is bone."""
    soft = values[values <= BONE_HU]
    return float(np.median(soft if 2 * soft.size > values.size else values)) if values.size else float("nan")


def _check_amount(amount: tuple[float, float], limits: HeadLimits, name: str) -> None:
    (height_mm, volume_ml), (low, high) = amount, limits.volume_ml
    got = f"{height_mm:.0f} mm, {volume_ml:.0f} ml"
    if volume_ml > high:
        raise RefusedError.of("not_a_head", name, expected=f"at most {high:g} ml inside the skull", got=got)
    if height_mm < limits.height_mm or volume_ml < low:
        expected = f"brain over {limits.height_mm:g} mm and at least {low:g} ml"
        raise RefusedError.of("too_little_head", name, expected=expected, got=got)
