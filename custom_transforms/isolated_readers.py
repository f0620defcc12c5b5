"""Read studies that nobody vouches for: in another process, within limits of memory and time.

Every refusal of a file passes here, so here its name gives way where it tells whose study it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from custom_transforms.archive import MAX_BYTES
from custom_transforms.ct_study import CtVolume
from custom_transforms.identifying import shown_file, shown_name
from custom_transforms.mri_grid import Affine, Volume
from custom_transforms.mri_study import MODALITIES, study_name
from custom_transforms.refusal import RefusedError
from custom_transforms.runs.isolation import run_isolated
from custom_transforms.runs.limits import LIMITS, Limits


def read_ct_isolated(path: str | Path, series: int | None = None, *, limits: Limits = LIMITS) -> CtVolume:
    """Read a scan as `custom_transforms.ct_study.read_ct` does, in a process apart that a damaged file may bring down.

    Args:
        path: see `read_ct`.
        series: see `read_ct`.
        limits: of memory and time.

    Returns:
        the scan, `(S, R, C)` HU with its affine, the slices' positions in mm, and notes; see `CtVolume`.

    Raises:
        RefusedError: see `read_ct` and `custom_transforms.runs.isolation.run_isolated`.
    """
    path = Path(path)
    try:
        fields = run_isolated(
            "custom_transforms.ct_study:read_ct",
            {"path": _absolute(path), "series": series},
            name="." if path.is_dir() else path.name,
            limits=limits,
            scratch_mib=MAX_BYTES >> 20 if path.suffix.lower() == ".zip" else 0,
        )
    except RefusedError as error:
        raise error.renamed(shown_name(error.file, path)) from None
    listed = {name: tuple(fields[name]) for name in ("notes", "instance_uids", "frame_numbers")}
    return CtVolume(**{**fields, **listed})


def read_patient_isolated(
    image: str | Path | Sequence[str | Path],
    modalities: Sequence[str] = MODALITIES,
    *,
    label: str | Path | None = None,
    codes: Mapping[str, int] | None = None,
    limits: Limits = LIMITS,
) -> tuple[Volume, Affine, NDArray[np.uint8] | None]:
    """Read the modalities of a patient and the mask as `custom_transforms.mri_study.read_patient` does.

    Args:
        image: see `read_patient`.
        modalities: see `read_patient`.
        label: see `read_patient`.
        codes: see `read_patient`.
        limits: of memory and time, for all files together.

    Returns:
        volume `(4, X, Y, Z)` float32, its affine to RAS mm `(4, 4)`, and codes `(X, Y, Z)` uint8 or None.

    Raises:
        RefusedError: see `read_patient` and `custom_transforms.runs.isolation.run_isolated`.
    """
    images = [image] if isinstance(image, (str, Path)) else image
    paths = [*map(_absolute, images)]
    arguments = {
        "image": paths[0] if isinstance(image, (str, Path)) else paths,
        "modalities": list(modalities),
        "label": None if label is None else _absolute(label),
        "codes": None if codes is None else dict(codes),
    }
    function = "custom_transforms.mri_study:read_patient"
    try:
        fields = run_isolated(function, arguments, name=study_name(image), limits=limits)
    except RefusedError as error:
        files = [Path(file) for file in (*images, label) if file is not None]
        raise error.renamed(shown_file(error.file, files)) from None
    return fields["0"], fields["1"], fields["2"]


def _absolute(path: str | Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (pathlib would follow links, and name a file by where they lead)
