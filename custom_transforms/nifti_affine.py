"""Where the voxels of a NIfTI file lie; a header that says it in two ways must say it twice the same."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from custom_transforms.refusal import RefusedError, last_line

Affine = NDArray[np.float64]

AFFINES_AGREE_MM = 0.1  # qform is stored as float32 quaternions; rounding stays far below this
SPACINGS_AGREE = 0.02  # of pixdim against sform, relative; programs write it with three digits at least
SIDE_MM = (0.01, 100.0)  # of a voxel; microscopy and a whole body in one slice lie within
LEAST_VOLUME = 0.5  # of a voxel, relative to that of a box with its sides; a gantry tilt of 30 degrees leaves 0.87
LAST_CODE = 5  # of a form: unknown, scanner, aligned, Talairach, MNI, other template


def checked_affine(header: nib.Nifti1Header, shape: tuple[int, ...], name: str) -> Affine:
    """Take the affine of a header, from voxel index to RAS mm `(4, 4)`.

    nibabel prefers sform in silence where sform and qform disagree, and mends impossible spacings.

    Args:
        header: as stored, not mended.
        shape: axes of the image.
        name: of the file, for messages.

    Raises:
        RefusedError: no form, two that differ, one that is singular or not finite, or spacings that contradict it.
    """
    codes = int(header["sform_code"]), int(header["qform_code"])
    if not any(codes) or min(codes) < 0 or max(codes) > LAST_CODE:
        got = "neither" if not any(codes) else f"the codes {codes}"
        raise RefusedError.of("no_orientation", name, expected="an sform or a qform", got=got)
    pixdim = np.abs(header["pixdim"][1:4].astype(np.float64))
    if not np.all((np.asarray(header["pixdim"][1:4]) > 0) & np.isfinite(pixdim)):
        got = str(header["pixdim"][1:4].tolist())
        raise RefusedError.of("bad_spacing", name, expected="three voxel sides above 0 mm in pixdim", got=got)
    try:
        sform = header.get_sform(coded=True)[0]
        qform = header.get_qform(coded=True)[0]
    except (ValueError, HeaderDataError) as error:
        raise RefusedError.of("bad_qform", name, expected="a quaternion of a rotation", got=last_line(error)) from error
    for form in (sform, qform):
        if form is not None:
            _check_invertible(np.asarray(form, dtype=np.float64), name)
    if sform is not None and qform is not None and not grids_agree(sform, qform, shape, AFFINES_AGREE_MM):
        raise RefusedError.of("sform_against_qform", name, expected="one geometry", got="two that differ")
    affine = np.asarray(qform if sform is None else sform, dtype=np.float64)
    _check_spacing(affine, pixdim, name)
    return affine


def _check_invertible(affine: Affine, name: str) -> None:
    sides_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all():
        raise RefusedError.of("singular_affine", name, expected="an invertible affine", got="NaN or infinity in it")
    if not sides_mm.all() or abs(np.linalg.det(affine[:3, :3] / sides_mm)) < LEAST_VOLUME:
        raise RefusedError.of("singular_affine", name, expected="an invertible affine", got="axes in one plane or line")


def _check_spacing(affine: Affine, pixdim: NDArray[np.float64], name: str) -> None:
    """Compare pixdim with the affine: the sides of the voxels or, in a sheared grid, the distance of its planes."""
    sides_mm = np.linalg.norm(affine[:3, :3], axis=0)
    planes_mm = 1 / np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1)
    agree = [np.abs(pixdim - mm) <= SPACINGS_AGREE * mm for mm in (sides_mm, planes_mm)]
    if not np.all(agree[0] | agree[1]):
        expected = f"voxel sides as in the affine, {np.round(sides_mm, 3).tolist()} mm"
        raise RefusedError.of("spacing_mismatch", name, expected=expected, got=f"{np.round(pixdim, 3).tolist()}")
    if sides_mm.min() < SIDE_MM[0] or sides_mm.max() > SIDE_MM[1]:
        expected = f"voxel sides of {SIDE_MM[0]:g} to {SIDE_MM[1]:g} mm"
        raise RefusedError.of("bad_spacing", name, expected=expected, got=f"{np.round(sides_mm, 6).tolist()}")


def _corners(affine: Affine, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """World positions in mm, `(8, 3)`, of the eight corner voxels."""
    index = np.array(np.meshgrid(*[(0, size - 1) for size in shape[:3]], indexing="ij")).reshape(3, 8)
    return np.asarray((affine[:3, :3] @ index).T + affine[:3, 3], dtype=np.float64)


def grids_agree(first: Affine, second: Affine, shape: tuple[int, ...], tolerance_mm: float) -> bool:
    """Tell whether two affines put every corner voxel of a grid within `tolerance_mm` of the same place."""
    distance_mm = np.linalg.norm(_corners(first, shape) - _corners(second, shape), axis=1)
    return bool(distance_mm.max() <= tolerance_mm)
