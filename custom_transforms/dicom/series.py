"""Choose the one series of a folder that is the scan, or refuse and list the choices."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from custom_transforms.dicom.frames import CtSlice
from custom_transforms.dicom.tags import Tags
from custom_transforms.refusal import RefusedError

Group = list[CtSlice]

DIRECTION_TOLERANCE = 1e-3  # between direction cosines of one stack: rounding, far below a degree
SPACING_TOLERANCE = 1e-3  # relative, between pixel spacings of one stack
PARALLEL = 0.9  # cosine of the angle up to which two planes are the same view: 26 degrees, tilt and all
SHORT_STACK_MM = 50.0  # bolus tracking and test slices span less, and a head more than twice of it
# Kernels for bone and lung: GE by name, Siemens B/H/U60 to 99, Canon FC30 to 39 and FC80 to 89, Philips D, E, YC, YD
SHARP_KERNEL = re.compile(r"BONE.*|EDGE|LUNG|ULTRA|[BHUT][RFSHPVC]?[6-9]\d.*|FC[38]\d|Y?[DE]|YC", re.IGNORECASE)


def choose_series(planes: Sequence[CtSlice], name: str, series: int | None = None) -> tuple[Group, list[str]]:
    """Group planes to stacks, and find the one that is the scan.

    Planes belong together by study, series, kernel, frame of reference, size, orientation and spacing (PS3.3 A.1.4).
    A stack with a sharp kernel gives way to one with a soft kernel, a short one to a long one.

    Args:
        planes: original CT images.
        name: of the study, for messages.
        series: number of the wanted series; None where there is one choice only.

    Returns:
        the planes of the stack, unsorted, and notes.

    Raises:
        RefusedError: several studies, several series to choose from, no such series, or planes that differ inside
            the series.
    """
    if len({plane.tags.hashed("StudyInstanceUID") for plane in planes}) > 1:
        raise RefusedError.of("several_studies", name, expected="images of one study", got="several")
    groups = _groups(planes)
    wanted = [group for group in groups if series is None or _number(group) == series]
    if not wanted:
        raise RefusedError.of("no_such_series", name, expected=f"series {series}", got=_listed(groups))
    for prefer in (_is_long, _is_axial, _is_soft):
        wanted = [group for group in wanted if prefer(group)] or wanted
    if len(wanted) > 1:
        code = "mixed_series" if len({_series(group) for group in wanted}) < len(wanted) else "several_series"
        raise RefusedError.of(code, name, expected="one series, or its number", got=_listed(wanted))
    (chosen,) = wanted
    rest = [group for group in groups if group is not chosen]
    _check_rest(chosen, rest, name)
    return chosen, [f"other series left out: {_listed(rest)}"] * bool(rest)


def _groups(planes: Sequence[CtSlice]) -> list[Group]:
    groups: list[Group] = []
    for plane in planes:
        home = next((group for group in groups if _belong_together(group[0], plane)), None)
        if home is None:
            groups.append([plane])
        else:
            home.append(plane)
    return groups


def _belong_together(first: CtSlice, second: CtSlice) -> bool:
    return (
        first.shape == second.shape
        and _identity(first.tags) == _identity(second.tags)
        and bool(np.abs(first.directions - second.directions).max() <= DIRECTION_TOLERANCE)
        and bool((np.abs(first.spacing_mm - second.spacing_mm) <= SPACING_TOLERANCE * second.spacing_mm).all())
    )


def _identity(tags: Tags) -> tuple[object, ...]:
    return tuple(tags.words(keyword) for keyword in ("SeriesInstanceUID", "ConvolutionKernel", "FrameOfReferenceUID"))


def _series(group: Group) -> str:
    return group[0].tags.word("SeriesInstanceUID")


def _number(group: Group) -> int:
    return group[0].tags.whole("SeriesNumber", default=-1)


def _extent_mm(group: Group) -> float:
    normal = group[0].normal
    return float(np.ptp([plane.position_mm @ normal for plane in group]))


def _is_long(group: Group) -> bool:
    return _extent_mm(group) >= SHORT_STACK_MM


def _is_axial(group: Group) -> bool:
    return bool(group[0].normal[2] >= np.cos(np.pi / 4))


def _is_soft(group: Group) -> bool:
    return not any(SHARP_KERNEL.fullmatch(word) for word in group[0].tags.words("ConvolutionKernel"))


def _listed(groups: Sequence[Group]) -> str:
    """Say of each group what a person chooses by; a kernel is shown only where it looks like one."""
    told = []
    for group in groups:
        kernel = group[0].tags.word("ConvolutionKernel")
        kernel = kernel if re.fullmatch(r"[\w+./ -]{1,12}", kernel, re.ASCII) else "not said"
        rows, columns = group[0].shape
        extent = f"{_extent_mm(group):.0f} mm"
        told.append(f"series {_number(group)} ({len(group)} slices of {rows}x{columns}, {extent}, kernel {kernel})")
    return "; ".join(told)


def _check_rest(chosen: Group, rest: Sequence[Group], name: str) -> None:
    """Refuse where a stack of the chosen series is left over: one wrong tag would lose its slice in silence."""
    for group in rest:
        parallel = abs(group[0].normal @ chosen[0].normal) > PARALLEL
        if _series(group) == _series(chosen) and parallel:
            expected = "equal size, spacing, orientation, kernel in a series"
            raise RefusedError.of("mixed_series", name, expected=expected, got=_listed([chosen, group]))
