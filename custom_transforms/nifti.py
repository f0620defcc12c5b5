"""Read a NIfTI file to its last byte, or refuse it."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from custom_transforms.refusal import RefusedError, last_line

SIZE_OF_HEADER = {348: nib.Nifti1Image, 540: nib.Nifti2Image}  # NIfTI-1 and NIfTI-2, field sizeof_hdr
AFFINES_AGREE_MM = 0.1  # qform is stored as float32 quaternions; rounding stays far below this


def read_nifti(path: str | Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read voxels and affine of a `.nii` or `.nii.gz` file.

    nibabel accepts a gzip file with a wrong checksum or a lost tail, and prefers sform in silence where sform and
    qform disagree; here each of these is refused.

    Args:
        path: the file.

    Returns:
        voxels, scaled by slope and intercept, `(X, Y, Z)` or `(X, Y, Z, C)`, trailing axes of length 1 dropped;
        and the affine `(4, 4)` from voxel indices to RAS millimetres.

    Raises:
        RefusedError: missing or damaged file, no or contradictory orientation, not 3D or 4D, not scalar.
    """
    path = Path(path)
    image = _parse(_read_whole(path), path.name)
    if image.get_data_dtype().fields is not None or image.get_data_dtype().kind == "c":
        raise RefusedError.of("not_scalar", path.name, expected="one number a voxel", got=str(image.get_data_dtype()))
    affine = _checked_affine(image, path.name)
    try:
        voxels = image.get_fdata(dtype=np.float32, caching="unchanged")
    except (OSError, ValueError) as error:
        raise RefusedError.of(
            "short_data", path.name, expected="all voxels of the header's shape", got="fewer"
        ) from error
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim not in (3, 4) or min(voxels.shape[:3]) < 2:
        raise RefusedError.of(
            "not_a_volume", path.name, expected="3 or 4 axes, x y z at least 2", got=str(voxels.shape)
        )
    return voxels, affine


def _read_whole(path: Path) -> bytes:
    """Return all bytes, decompressed; gzip's length and checksum are verified by reading to the end."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except FileNotFoundError as error:
        raise RefusedError.of("missing_file", path.name, expected="a NIfTI file", got="no such file") from error
    except (PermissionError, IsADirectoryError) as error:
        raise RefusedError.of("unreadable_file", path.name, expected="a file", got=str(error.strerror)) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RefusedError.of("damaged_gzip", path.name, expected="a whole gzip file", got=str(error)) from error


def _parse(raw: bytes, name: str) -> nib.Nifti1Image:
    sizes = [int.from_bytes(raw[:4], order) for order in ("little", "big")]
    kinds = [SIZE_OF_HEADER[size] for size in sizes if size in SIZE_OF_HEADER]
    try:
        return kinds[0].from_bytes(raw)
    except (IndexError, nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, ValueError) as error:
        raise RefusedError.of("not_nifti", name, expected="a NIfTI header", got="something else") from error


def _checked_affine(image: nib.Nifti1Image, name: str) -> NDArray[np.float64]:
    try:
        sform, s_code = image.header.get_sform(coded=True)
        qform, q_code = image.header.get_qform(coded=True)
    except ValueError as error:
        raise RefusedError.of("bad_qform", name, expected="a quaternion of a rotation", got=last_line(error)) from error
    if not s_code and not q_code:
        raise RefusedError.of("no_orientation", name, expected="an sform or a qform", got="neither")
    if s_code and q_code and not grids_agree(sform, qform, image.shape, AFFINES_AGREE_MM):
        raise RefusedError.of("sform_against_qform", name, expected="one geometry", got="two that differ")
    affine = np.asarray(sform if s_code else qform, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise RefusedError.of(
            "singular_affine", name, expected="an invertible affine", got="a singular or infinite one"
        )
    return affine


def _corners(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """World positions in mm, `(8, 3)`, of the eight corner voxels."""
    index = np.array(np.meshgrid(*[(0, size - 1) for size in shape[:3]], indexing="ij")).reshape(3, 8)
    return np.asarray((affine[:3, :3] @ index).T + affine[:3, 3], dtype=np.float64)


def grids_agree(
    first: NDArray[np.float64], second: NDArray[np.float64], shape: tuple[int, ...], tolerance_mm: float
) -> bool:
    """Tell whether two affines put every corner voxel of a grid within `tolerance_mm` of the same place."""
    distance_mm = np.linalg.norm(_corners(first, shape) - _corners(second, shape), axis=1)
    return bool(distance_mm.max() <= tolerance_mm)
