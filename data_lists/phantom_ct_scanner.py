"""How a made-up CT scanner sees a phantom head: slices, tilt, pose, kernel, coverage and padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_lists.phantom_head_frame import Frame

_PADDINGS = (None, None, -2000, -1500)  # stored outside the round field of view; None: air like the rest
_INTERCEPTS = (-1024, 0)
_SOFT_KERNELS = ("H31s", "STANDARD", "FC21", "UB")
_SHARP_KERNELS = ("H50s", "BONE", "FC30", "EC")


@dataclass(frozen=True)
class Scanner:
    """One scan's settings.

    Attributes:
        pixel_mm: side of a pixel.
        slice_z_mm: (S,) table positions, ascending, mm.
        thickness_mm: (S,) nominal slice thickness.
        tilt_degrees: gantry tilt, DICOM (0018,1120); positive: the front of a slice lies above its back.
        padding: stored value outside the round field of view, DICOM (0028,0120), or None.
        sharp: True for a bone kernel.
        kernel: name of the convolution kernel.
        kvp: tube voltage, kV.
        noise_hu: standard deviation of the noise in the middle of the head.
        intercept: rescale intercept of the stored pixels.
        contrast: True where vessels hold contrast agent.
        headrest: True where the headrest is in the picture.
        localizer: True where the series comes with one.
        head_first: True where the instance numbers begin at the top.
        mixed_names: True where the file names are in no order.
    """

    pixel_mm: float
    slice_z_mm: NDArray[np.float64]
    thickness_mm: NDArray[np.float64]
    tilt_degrees: float
    padding: int | None
    sharp: bool
    kernel: str
    kvp: int
    noise_hu: float
    intercept: int
    contrast: bool
    headrest: bool
    localizer: bool
    head_first: bool
    mixed_names: bool


def draw_scanner(rng: np.random.Generator, *, matrix: int) -> Scanner:
    """Draw the settings of one scan with `matrix` rows and columns."""
    tilt = float(rng.choice([0, 0, 1, 1, -1]) * np.round(rng.uniform(3, 20), 1))
    closest, widest = (0.41, 0.49) if tilt == 0 else (0.45, 0.51)  # mm at 512; a tilted head wanders
    positions, thickness = _draw_slices(rng, tilt)
    sharp = bool(rng.uniform() < 0.25)
    return Scanner(
        pixel_mm=float(rng.uniform(closest, widest) * 512 / matrix),
        slice_z_mm=positions,
        thickness_mm=thickness,
        tilt_degrees=tilt,
        padding=_PADDINGS[rng.integers(len(_PADDINGS))],
        sharp=sharp,
        kernel=str(rng.choice(_SHARP_KERNELS if sharp else _SOFT_KERNELS)),
        kvp=int(rng.choice([120, 120, 130, 140])),
        noise_hu=float(rng.uniform(3.2, 5.0) if sharp else rng.uniform(2.0, 3.6)),
        intercept=int(rng.choice(_INTERCEPTS)),
        contrast=bool(rng.uniform() < 0.25),
        headrest=bool(rng.uniform() < 0.5),
        localizer=bool(rng.uniform() < 0.4),
        head_first=bool(rng.uniform() < 0.4),
        mixed_names=bool(rng.uniform() < 0.4),
    )


def _draw_slices(rng: np.random.Generator, tilt: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Table positions from feet to head, even or thin below and thick above, and the slice thickness."""
    start = rng.uniform(-95, -80) if rng.uniform() < 0.3 else rng.uniform(-72, -56)
    end = rng.uniform(80, 95) if rng.uniform() < 0.5 else rng.uniform(66, 80)
    thick = float(rng.choice([4.0, 4.5, 5.0, 5.0, 6.0, 7.0]))
    if rng.uniform() < 0.3:
        thin, thick = 4.0, 7.0
        low = np.arange(start, rng.uniform(-25, -5), thin)
        high = np.arange(low[-1] + (thin + thick) / 2, end, thick)
        thickness = np.concatenate([np.full(low.size, thin), np.full(high.size, thick)])
        return np.round(np.concatenate([low, high]), 3), thickness
    positions = np.round(np.arange(start, end, thick), 3)
    return positions, np.full(positions.size, thick)


def scan_affine(scanner: Scanner, *, matrix: int) -> NDArray[np.float64]:
    """(4, 4) affine from voxel (column, row, slice) to RAS mm; carries the shear of a tilt and the median step.

    Reference: DICOM PS3.3 C.7.6.2.1.1, with x and y turned from LPS to RAS.
    """
    tilt = np.deg2rad(scanner.tilt_degrees)
    affine = np.eye(4)
    affine[:3, 0] = [scanner.pixel_mm, 0, 0]
    affine[:3, 1] = scanner.pixel_mm * np.array([0, np.cos(tilt), -np.sin(tilt)])
    affine[:3, 2] = [0, 0, np.median(np.diff(scanner.slice_z_mm))]
    middle = (matrix - 1) / 2 * (affine[:3, 0] + affine[:3, 1])
    affine[:3, 3] = np.array([0, 0, scanner.slice_z_mm[0]]) - middle
    return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine, dtype=np.float64)


def pose_head(rng: np.random.Generator, scanner: Scanner, *, matrix: int) -> Frame:
    """Put a head of its own size, turned and shifted a little, into the scanner."""
    roll, yaw = np.deg2rad(rng.normal(0, 2.5, size=2))
    pitch = np.deg2rad(rng.normal(0, 4.0) - rng.uniform(0.4, 1.0) * scanner.tilt_degrees)  # a tilt makes up for a pitch
    turn = _turn(1, roll) @ _turn(2, yaw) @ _turn(0, pitch)
    size = rng.uniform(0.94, 1.05) * rng.uniform(0.97, 1.03, size=3)
    to_head = np.diag(1 / size) @ turn.T
    lps = np.diag([-1.0, -1.0, 1.0]) @ scan_affine(scanner, matrix=matrix)[:3]
    shift = np.array([rng.normal(0, 3), rng.normal(4, 3), 0.0])
    heights = np.zeros((scanner.slice_z_mm.size, 3))
    heights[:, 2] = scanner.slice_z_mm - scanner.slice_z_mm[0]
    return Frame((lps[:, 3] + heights + shift) @ to_head.T, to_head @ lps[:, 1], to_head @ lps[:, 0], (matrix, matrix))


def _turn(axis: int, angle: float) -> NDArray[np.float64]:
    """Rotation by `angle` radians about one axis."""
    first, second = (number for number in range(3) if number != axis)
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix
