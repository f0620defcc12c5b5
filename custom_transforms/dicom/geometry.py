"""Order the slices of a stack, find what is missing, and place the stack in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from custom_transforms.dicom.frames import CtSlice
from custom_transforms.refusal import RefusedError

Floats = NDArray[np.float64]

AXIAL_COSINE = np.cos(np.pi / 4)  # nearer to another view than to axial beyond it
STRAIGHT_MM = 0.5  # how far a slice may lie beside the line of the stack: about one pixel
LARGEST_TILT_DEGREES = 35.0  # gantries tilt up to 30
SAME_POSITION_MM = 0.05  # below any slice step; positions of one slice differ by rounding only
SAME_THICKNESS = 0.1  # relative; thicknesses of one slab differ by rounding only
MISSING = 1.5  # of the usual step: half way between a step and a step with one slice missing
WIDEST_GAP = 1.8  # of the thickness; head CT is taken without gaps, or with small ones
UNEVEN = 0.02  # of the median step: beyond rounding
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Geometry:
    """Where the slices of a stack lie.

    Args:
        positions_mm: ascending positions along the normal, `(S,)`.
        affine: from voxel index (column, row, slice) to RAS mm, `(4, 4)`, with the shear of a tilted gantry and the
            median step.
        notes: what a person should know.
    """

    positions_mm: Floats
    affine: Floats
    notes: tuple[str, ...]


def in_order(planes: Sequence[CtSlice], name: str) -> tuple[list[CtSlice], Floats]:
    """Sort the planes of a stack from the feet to the head, by position along their normal.

    Args:
        planes: planes of equal orientation.
        name: of the study, for messages.

    Returns:
        the planes, and their positions in mm `(S,)`, ascending; equal where two lie at one place.

    Raises:
        RefusedError: the stack is not axial.
    """
    normal = planes[0].normal
    if normal[2] < AXIAL_COSINE:
        raise RefusedError.of("not_axial", name, expected="axial slices", got="another view")
    positions = np.array([plane.position_mm @ normal for plane in planes])
    order = np.argsort(positions, kind="stable")
    return [planes[index] for index in order], positions[order]


def same_place(positions_mm: Floats) -> list[int]:
    """Indices of slices that lie where the slice before them lies."""
    return [int(index) + 1 for index in np.flatnonzero(np.diff(positions_mm) < SAME_POSITION_MM)]


def place(planes: Sequence[CtSlice], positions_mm: Floats, name: str) -> Geometry:
    """Place a stack in space.

    Args:
        planes: in order, each at a place of its own.
        positions_mm: their positions along the normal, `(S,)`.
        name: of the study, for messages.

    Raises:
        RefusedError: a slice is missing or lies beside the line of the stack, or one slice without a thickness.
    """
    thickness_mm = np.array([plane.thickness_mm for plane in planes])
    if len(planes) == 1 and np.isnan(thickness_mm[0]):
        raise RefusedError.of("missing_tag", name, expected="SliceThickness of a single slice", got="none")
    _check_gaps(positions_mm, thickness_mm, name)
    shear = _shear(planes, positions_mm, name)
    steps = np.diff(positions_mm) if len(planes) > 1 else thickness_mm
    first = planes[0]
    advance = first.normal + shear @ first.directions
    affine = np.eye(4)
    # PS3.3 C.7.6.2.1.1: PixelSpacing is row distance, then column distance; the first direction is along a row.
    columns = (first.directions[0] * first.spacing_mm[1], first.directions[1] * first.spacing_mm[0])
    affine[:3, :3] = LPS_TO_RAS @ np.column_stack([*columns, advance * np.median(steps)])
    affine[:3, 3] = LPS_TO_RAS @ first.position_mm
    return Geometry(positions_mm, affine, tuple(_notes(steps, thickness_mm, shear)))


def _shear(planes: Sequence[CtSlice], positions_mm: Floats, name: str) -> Floats:
    """How far, in mm along rows and along columns, the first pixel moves with each mm along the normal, `(2,)`."""
    if len(planes) == 1:
        return np.zeros(2)
    beside = np.array([plane.position_mm @ planes[0].directions.T for plane in planes])
    fit = np.polyfit(positions_mm, beside, 1)
    off_mm = np.abs(beside - np.outer(positions_mm, fit[0]) - fit[1]).max()
    if off_mm > STRAIGHT_MM:
        expected = f"slices in a line within {STRAIGHT_MM} mm"
        raise RefusedError.of("crooked_stack", name, expected=expected, got=f"one {off_mm:.1f} mm beside it")
    if _degrees(fit[0]) > LARGEST_TILT_DEGREES:
        expected = f"a gantry tilt up to {LARGEST_TILT_DEGREES:g} degrees"
        raise RefusedError.of("crooked_stack", name, expected=expected, got=f"{_degrees(fit[0]):.0f}")
    return np.asarray(fit[0], dtype=np.float64)


def _degrees(shear: Floats) -> float:
    return float(np.degrees(np.arctan(np.hypot(*shear))))


def _check_gaps(positions_mm: Floats, thickness_mm: Floats, name: str) -> None:
    """Refuse a step that is too long for its slab, a run of slices of one thickness, or for the seam of two slabs.

    Slabs of different thickness are normal practice: thin through the posterior fossa, thick above.
    """
    steps = np.diff(positions_mm)
    thin, thick = np.fmin(thickness_mm[1:], thickness_mm[:-1]), np.fmax(thickness_mm[1:], thickness_mm[:-1])
    slab = np.concatenate([[0], np.cumsum(thick - thin > SAME_THICKNESS * thick)])
    usual = np.array([_usual_step(steps[(slab[1:] == one) & (slab[:-1] == one)]) for one in range(slab[-1] + 1)])
    usual = np.where(np.isnan(usual), [thickness_mm[slab == one][0] for one in range(len(usual))], usual)
    for one, step_mm in enumerate(usual):
        known = thickness_mm[(slab == one) & ~np.isnan(thickness_mm)]
        if known.size and step_mm > WIDEST_GAP * known[0]:  # every second slice lost makes 2
            expected = f"steps up to {WIDEST_GAP:g} times the slice thickness of {known[0]:.2f} mm"
            raise RefusedError.of("missing_slice", name, expected=expected, got=f"{step_mm:.2f} mm")
    expected_mm = (usual[slab[1:]] + usual[slab[:-1]]) / 2
    for index in np.flatnonzero(steps > MISSING * expected_mm):
        got = f"{steps[index]:.2f} mm between slices {index} and {index + 1} from the feet"
        raise RefusedError.of("missing_slice", name, expected=f"a step of {expected_mm[index]:.2f} mm", got=got)


def _usual_step(steps: Floats) -> float:
    """Median step of a slab; with one or two steps the shorter one, which a missing slice cannot have made."""
    if len(steps) == 0:
        return float("nan")
    return float(np.median(steps) if len(steps) > 2 else steps.min())


def _notes(steps: Floats, thickness_mm: Floats, shear: Floats) -> list[str]:
    notes = []
    median = float(np.median(steps))
    if _degrees(shear) > 0.5:
        notes.append(f"gantry tilted by {_degrees(shear):.1f} degrees")
    if np.ptp(steps) > UNEVEN * median:
        told = f"slice steps from {steps.min():.2f} to {steps.max():.2f} mm"
        notes.append(f"{told}: the affine has their median, {median:.2f} mm; a NIfTI made from it is not to scale")
    gap_mm = float(np.median(steps) - np.nanmedian(thickness_mm)) if not np.isnan(thickness_mm).all() else 0.0
    if np.ptp(steps) <= UNEVEN * median and gap_mm > SAME_THICKNESS * median:
        notes.append(f"{gap_mm:.2f} mm between slices not imaged")
    return notes
