"""Bring the four modalities of a patient, and the mask, to one grid; refuse what does not belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_transforms.h5_slices import read_h5_slices
from custom_transforms.label_map import read_label_map
from custom_transforms.modality_content import check_content
from custom_transforms.mri_grid import Affine, Volume, check_grid, to_orientation
from custom_transforms.nifti import read_nifti
from custom_transforms.refusal import RefusedError

MODALITIES = ("FLAIR", "T1", "T1ce", "T2")


def read_modalities(
    image: str | Path | Sequence[str | Path], modalities: Sequence[str] = MODALITIES
) -> tuple[Volume, Affine]:
    """Read the four modalities of one patient.

    Args:
        image: four NIfTI files, one 4D NIfTI file, or a pattern of h5 slices (`volume_1_slice_*.h5`).
        modalities: which modality each file or channel is, a permutation of `MODALITIES`.

    Returns:
        volume `(4, X, Y, Z)`, float32, in the order FLAIR, T1, T1ce, T2, on the grid of the first file;
        and that grid's affine to RAS mm `(4, 4)`.

    Raises:
        RefusedError: a modality is missing, unknown, constant, not finite, a copy of another, or on another grid.
    """
    name = study_name(image)
    if sorted(modalities) != sorted(MODALITIES):
        code = "missing_modality" if len(modalities) < len(MODALITIES) else "unknown_modality"
        expected = f"each of {', '.join(MODALITIES)} once"
        raise RefusedError.of(code, name, expected=expected, got=", ".join(modalities))
    volumes, affine = (
        _read_files(image) if isinstance(image, Sequence) and not isinstance(image, str) else _read_one(image)
    )
    if len(volumes) != len(modalities):
        raise RefusedError.of("missing_modality", name, expected=f"{len(modalities)} modalities", got=str(len(volumes)))
    by_name = dict(zip(modalities, volumes, strict=True))
    names = [name] * len(volumes) if isinstance(image, (str, Path)) else [Path(file).name for file in image]
    check_content(by_name, dict(zip(modalities, names, strict=True)))
    return np.stack([by_name[modality] for modality in MODALITIES]), affine


def read_patient(
    image: str | Path | Sequence[str | Path],
    modalities: Sequence[str] = MODALITIES,
    *,
    label: str | Path | None = None,
    codes: Mapping[str, int] | None = None,
) -> tuple[Volume, Affine, NDArray[np.uint8] | None]:
    """Read the modalities of one patient and the mask, if there is one.

    Args:
        image: see `read_modalities`.
        modalities: see `read_modalities`.
        label: the mask; None for a patient without.
        codes: label convention of the mask; None takes any whole numbers from 0 to 255.

    Returns:
        volume `(4, X, Y, Z)`, its affine, and codes `(X, Y, Z)` uint8 or None.

    Raises:
        RefusedError: see `read_modalities` and `read_label_map`.
    """
    volume, affine = read_modalities(image, modalities)
    if label is None:
        return volume, affine, None
    name = Path(label).name
    first = Path(image if isinstance(image, (str, Path)) else image[0])
    if name == first.name and Path(label) != first:  # as in the Decathlon, where folders tell them apart
        name = f"{Path(label).parent.name}/{name}"
    return volume, affine, read_label_map(label, codes, like=volume, affine=affine, name=name)


def study_name(image: str | Path | Sequence[str | Path]) -> str:
    """Name a study for messages: the base name of its first file."""
    return Path(image if isinstance(image, (str, Path)) else image[0]).name


def case_name(item: Mapping[Any, Any]) -> str:
    """Name the case of a data-list item: its `case`, else the stem of its first file.

    Only the last part of a path counts: `monai.data.load_decathlon_datalist` makes a path of a case's name where a
    folder of that name exists.
    """
    if "case" in item:
        return Path(str(item["case"])).name
    name = study_name(item["image"]).removesuffix(".gz")
    return name.removesuffix(next((end for end in (".nii", ".h5", ".dcm", ".zip") if name.endswith(end)), ""))


def _read_one(image: str | Path) -> tuple[list[Volume], Affine]:
    stack, affine = read_h5_slices(image, "image") if "*" in Path(image).name else read_nifti(image)
    return ([stack[..., channel] for channel in range(stack.shape[3])] if stack.ndim == 4 else [stack]), affine


def _read_files(files: Sequence[str | Path]) -> tuple[list[Volume], Affine]:
    first, affine = read_nifti(files[0])
    volumes = [first]
    for file in files[1:]:
        volume, grid = to_orientation(*read_nifti(file), like=affine)
        check_grid(volume, grid, first.shape, affine, Path(file).name)
        volumes.append(volume)
    return volumes, affine
