"""Read one CT scan in Hounsfield units, from DICOM or NIfTI."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from custom_transforms.archive import unpack_zip
from custom_transforms.dicom.pixels import AIR_HU
from custom_transforms.dicom.study import read_dicom
from custom_transforms.identifying import shown_name
from custom_transforms.nifti import read_nifti
from custom_transforms.refusal import RefusedError


@dataclass(frozen=True, eq=False)
class CtVolume:
    """A CT scan.

    Args:
        hu: Hounsfield units `(S, R, C)`, float32, C-contiguous. From DICOM, slices go from the feet to the head; from
            NIfTI, axes and directions are those of the file, last axis first.
        affine: from voxel index (column, row, slice) to RAS mm, `(4, 4)`.
        slice_positions_mm: ascending positions of all slices along their normal, as acquired; from NIfTI, index times
            step along the axis that is nearest to feet-head.
        notes: what was left out or mended, or what a person should know.
        instance_uids: SOPInstanceUID of each slice's DICOM object, for results that refer to it; none from NIfTI.
        frame_numbers: of each slice within its object, from 1.
    """

    hu: NDArray[np.float32]
    affine: NDArray[np.float64]
    slice_positions_mm: NDArray[np.float64]
    notes: tuple[str, ...]
    instance_uids: tuple[str, ...] = ()
    frame_numbers: tuple[int, ...] = ()


def read_ct(path: str | Path, series: int | None = None) -> CtVolume:
    """Read a scan: a folder of DICOM, a zip of such a folder, one DICOM file, or a `.nii` or `.nii.gz` file.

    Values below -1024 HU, which only padding has, become -1024.

    Args:
        path: the folder or file.
        series: number of the wanted series, where a folder holds several to choose from.

    Returns:
        the scan, `(S, R, C)` HU with its affine, the slices' positions in mm, and notes; see `CtVolume`.

    Raises:
        RefusedError: with the reason and the name of the file, if anything is missing, damaged, contradictory or no
            CT; nothing is guessed. The name is relative to the folder, `.` for the study itself, or the file's number
            where the name gives away whose it is.

    Example:
        >>> volume = read_ct("patients/case_07")
        >>> volume.hu.shape
        (28, 512, 512)
    """
    path = Path(path)
    try:
        return _read(path, series)
    except RefusedError as error:
        raise error.renamed(shown_name(error.file, path)) from None


def _read(path: Path, series: int | None) -> CtVolume:
    if not path.exists():
        raise RefusedError.of("missing_file", path.name, expected="a folder or file", got="nothing there")
    if not (path.is_dir() or path.is_file()):
        raise RefusedError.of("unreadable_file", path.name, expected="a folder or file", got="a pipe or device")
    if path.suffix.lower() == ".zip" and path.is_file():
        with tempfile.TemporaryDirectory(prefix="study_") as folder:
            unpack_zip(path, folder)
            return read_ct(folder, series)
    if path.name.endswith((".nii", ".nii.gz")):
        return _from_nifti(path)
    hu, geometry, frames, notes = read_dicom(path, series)
    uids, numbers = zip(*frames, strict=True)
    return CtVolume(hu, geometry.affine, geometry.positions_mm, tuple(notes), uids, numbers)


def _from_nifti(path: Path) -> CtVolume:
    voxels, affine = read_nifti(path)
    if voxels.ndim != 3:
        raise RefusedError.of("not_a_volume", path.name, expected="3 axes", got=f"{voxels.ndim}")
    if not np.isfinite(voxels).all():
        raise RefusedError.of("not_finite", path.name, expected="finite Hounsfield units", got="NaN or infinity")
    along = nib.aff2axcodes(affine, labels=((0, 0), (1, 1), (2, 2))).index(2)
    across = np.delete(affine[:3, :3], along, axis=1)
    normal = np.cross(across[:, 0], across[:, 1])  # of a tilted scan the axis leans from the slices' normal
    step_mm = abs(float(affine[:3, along] @ normal)) / float(np.linalg.norm(normal))
    positions = np.arange(voxels.shape[along]) * step_mm
    hu = np.ascontiguousarray(voxels.transpose(2, 1, 0))
    np.maximum(hu, np.float32(AIR_HU), out=hu)
    return CtVolume(hu, affine, positions, ("NIfTI: slice steps taken as even, which the file cannot say",))
