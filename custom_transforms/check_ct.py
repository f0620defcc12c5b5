"""Check one head CT: read it, and tell whether it is a head in Hounsfield units."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from custom_transforms.fit_study import FitStudy
from custom_transforms.identifying import shown_name
from custom_transforms.isolated_readers import read_ct_isolated
from custom_transforms.orientation import to_axes
from custom_transforms.plausible_head import LIMITS, HeadLimits, check_head
from custom_transforms.refusal import WARNING, RefusedError
from custom_transforms.upside_down import looks_upside_down


def check_ct(path: Path, *, series: int | None = None, limits: HeadLimits = LIMITS) -> FitStudy:
    """Read a head CT as the classifier's first steps `load`, `orient` and `check_head` do, without torch.

    Args:
        path: folder of DICOM or zip of one, DICOM file or NIfTI file.
        series: number of the wanted series, where a folder holds several to choose from.
        limits: what a head may have.

    Raises:
        RefusedError: see `read_ct` and `check_head`; the file is named relative to the folder, the study itself `.`.
    """
    whole = "." if path.is_dir() else path.name
    try:
        volume = read_ct_isolated(path, series)
        voxels, affine = to_axes(volume.hu.transpose(2, 1, 0), volume.affine, "LPS")
        pixel_mm = np.linalg.norm(affine[:3, :2], axis=0)[::-1]
        hu = voxels.transpose(2, 1, 0)
        check_head(hu, pixel_mm, volume.slice_positions_mm, limits, whole)
    except RefusedError as error:
        raise error.renamed(shown_name(error.file, path)) from None
    warnings = [note.removeprefix(WARNING) for note in volume.notes if note.startswith(WARNING)]
    if looks_upside_down(hu, float(pixel_mm.min()), volume.slice_positions_mm):
        warnings.append("the head seems to stand upside down: the air of its base lies at the top")
    notes = tuple(note for note in volume.notes if not note.startswith(WARNING))
    return FitStudy(*to_axes(voxels, affine, "RAS"), warnings=tuple(warnings), notes=notes)
