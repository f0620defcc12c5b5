"""Bring the four modalities of a patient, and the mask, to one grid; refuse what does not belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from custom_transforms.h5_slices import read_h5_slices
from custom_transforms.nifti import read_nifti
from custom_transforms.nifti_affine import grids_agree
from custom_transforms.refusal import RefusedError

Volume: TypeAlias = NDArray[np.float32]
Affine: TypeAlias = NDArray[np.float64]

MODALITIES = ("FLAIR", "T1", "T1ce", "T2")
H5_TISSUES = ("necrotic core", "oedema", "enhancing tumour")  # channels of a mask in the Kaggle copy
GRID_TOLERANCE_VOXELS = 0.1  # below what one would see after interpolation; rounded headers stay far under it
INTEGER_TOLERANCE = 1e-3  # labels saved as scaled integers or float32 come back this close to whole numbers


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
        raise RefusedError.of(
            "unknown_modality", name, expected=f"each of {', '.join(MODALITIES)} once", got=str(modalities)
        )
    volumes, affine = (
        _read_files(image) if isinstance(image, Sequence) and not isinstance(image, str) else _read_one(image)
    )
    if len(volumes) != len(modalities):
        raise RefusedError.of("missing_modality", name, expected=f"{len(modalities)} modalities", got=str(len(volumes)))
    by_name = dict(zip(modalities, volumes, strict=True))
    _check_content(by_name, name)
    return np.stack([by_name[modality] for modality in MODALITIES]), affine


def read_label_map(
    label: str | Path, codes: Mapping[str, int] | None, *, like: Volume, affine: Affine
) -> NDArray[np.uint8]:
    """Read a tumour mask on the image's grid.

    Args:
        label: NIfTI file or pattern of h5 slices.
        codes: label convention, from tissue name to its code; 0 is background in every convention. None, of a
            NIfTI file whose convention is not known, takes any whole numbers from 0 to 255.
        like: the image `(4, X, Y, Z)` it belongs to.
        affine: the image's affine.

    Returns:
        codes `(X, Y, Z)`, uint8, each 0 or one of `codes`.

    Raises:
        RefusedError: another grid than the image's, fractional labels, or a code that the convention does not have.
    """
    name = Path(label).name
    if "*" in name:
        channels, grid = read_h5_slices(label, "mask")
        if channels.shape[-1] != len(H5_TISSUES) or not _are_masks(channels) or set(H5_TISSUES) - set(codes or ()):
            expected = f"a channel of 0 and 1 for each of {', '.join(H5_TISSUES)}, without overlap, and a code for each"
            raise RefusedError.of("label_channels", name, expected=expected, got=f"{channels.shape}, {codes}")
        values = channels @ np.array([(codes or {})[tissue] for tissue in H5_TISSUES], dtype=np.float32)
    else:
        values, grid = _to_orientation(*read_nifti(label), like=affine)
    _check_grid(values, grid, like.shape[1:], affine, name)
    whole = np.rint(values)
    if not np.isfinite(values).all() or np.abs(values - whole).max() > INTEGER_TOLERANCE:
        raise RefusedError.of("fractional_label", name, expected="whole numbers", got="fractions")
    allowed = range(256) if codes is None else {0, *codes.values()}
    unknown = sorted(set(np.unique(whole).tolist()) - set(allowed))
    if unknown:
        expected = "codes from 0 to 255" if codes is None else f"0 or {dict(codes)}"
        raise RefusedError.of("unknown_label", name, expected=expected, got=str([int(code) for code in unknown[:5]]))
    return whole.astype(np.uint8)


def _are_masks(channels: Volume) -> bool:
    return bool(np.isin(channels, (0, 1)).all() and (channels.sum(-1) <= 1).all())


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
    return volume, affine, None if label is None else read_label_map(label, codes, like=volume, affine=affine)


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
        volume, grid = _to_orientation(*read_nifti(file), like=affine)
        _check_grid(volume, grid, first.shape, affine, Path(file).name)
        volumes.append(volume)
    return volumes, affine


def _to_orientation(volume: Volume, affine: Affine, *, like: Affine) -> tuple[Volume, Affine]:
    """Flip and swap axes, without interpolation, to the axis directions of `like`."""
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.io_orientation(like))
    turned = nib.orientations.apply_orientation(volume, turn)
    return turned, affine @ nib.orientations.inv_ornt_aff(turn, volume.shape[:3])


def _check_grid(volume: Volume, grid: Affine, shape: tuple[int, ...], affine: Affine, name: str) -> None:
    if volume.shape != shape:
        raise RefusedError.of("shape_mismatch", name, expected=f"the image's shape {shape}", got=str(volume.shape))
    tolerance_mm = GRID_TOLERANCE_VOXELS * float(nib.affines.voxel_sizes(affine).min())
    if not grids_agree(grid, affine, shape, tolerance_mm):
        raise RefusedError.of("grid_mismatch", name, expected="the image's position and spacing", got="another grid")


def _check_content(by_name: Mapping[str, Volume], name: str) -> None:
    for modality, volume in by_name.items():
        if volume.ndim != 3:
            raise RefusedError.of("not_a_volume", name, expected=f"3 axes in {modality}", got=str(volume.shape))
        if not np.isfinite(volume).all():
            raise RefusedError.of("not_finite", name, expected=f"finite {modality}", got="NaN or infinity")
        if volume.min() == volume.max():
            raise RefusedError.of("constant_image", name, expected=f"{modality} with contrast", got="a single value")
    for (first, volume), (second, other) in combinations(by_name.items(), 2):
        if np.array_equal(volume, other):
            raise RefusedError.of(
                "repeated_modality", name, expected=f"{first} and {second} to differ", got="one a copy"
            )
