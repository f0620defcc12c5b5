"""Check one head CT: read it, and tell whether it is a head in Hounsfield units."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from custom_transforms.ct_study import read_ct
from custom_transforms.fit_study import FitStudy
from custom_transforms.identifying import shown_name
from custom_transforms.orientation import to_axes
from custom_transforms.plausible_head import LIMITS, HeadLimits, check_head
from custom_transforms.refusal import WARNING, RefusedError


def check_ct(path: Path, *, series: int | None = None, limits: HeadLimits = LIMITS) -> FitStudy:
    """Read a head CT as the classifier's first steps `load`, `orient` and `check_head` do, without torch.

    Args:
        path: folder of DICOM or zip of one, DICOM file or NIfTI file.
        series: number of the wanted series, where a folder holds several to choose from.
        limits: what a head may have.

    Raises:
        RefusedError: see `read_ct` and `check_head`; the file is named relative to the folder, the study itself `.`.
    """
    volume = read_ct(path, series)
    voxels, affine = to_axes(volume.hu.transpose(2, 1, 0), volume.affine, "LPS")
    pixel_mm = np.linalg.norm(affine[:3, :2], axis=0)[::-1]
    try:
        check_head(voxels.transpose(2, 1, 0), pixel_mm, volume.slice_positions_mm, limits, ".")
    except RefusedError as error:
        raise error.renamed("." if path.is_dir() else shown_name(path.name, path)) from None
    warnings = tuple(note.removeprefix(WARNING) for note in volume.notes if note.startswith(WARNING))
    notes = tuple(note for note in volume.notes if not note.startswith(WARNING))
    return FitStudy(*to_axes(voxels, affine, "RAS"), warnings=warnings, notes=notes)
