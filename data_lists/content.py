"""What only the voxels of a case can tell: hashes, tumour volume, and whether its labels are the declared ones."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from data_lists.case_files import CaseFiles, DataSet
from data_lists.h5_slices import read_h5_slices
from data_lists.nifti_file import Array, read_nifti

_H5_VOXEL_ML = 0.001  # the Kaggle slices carry no spacing; BraTS is resampled to 1 mm cubes
_NOT_TUMOUR = {"resection cavity"}


@dataclass(frozen=True)
class CaseContent:
    """What the voxels of one case tell.

    Attributes:
        image_sha256: hash of each modality, in the order of the case's modalities.
        label_sha256: hash of the mask; None if unlabelled.
        tumour_ml: volume of all tumour tissue in ml, without a resection cavity; None if unlabelled.
    """

    image_sha256: tuple[str, ...]
    label_sha256: str | None
    tumour_ml: float | None


def measure_cases(data_set: DataSet, *, workers: int = 1) -> Iterator[CaseContent]:
    """Read every case of a data set, in its order.

    Args:
        data_set: what `find_data_set` found.
        workers: processes; one case takes about a second and 300 MB.

    Yields:
        Content of each case.

    Raises:
        ValueError: If a case is damaged or its labels are not those declared.
    """
    measure = partial(measure_case, replace(data_set, cases=()))  # sent with every case: without the other cases
    if workers <= 1:
        yield from map(measure, data_set.cases)
        return
    # "spawn": a fork of a process that already runs threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(data_set.cases)), mp_context=context) as pool:
        yield from pool.map(measure, data_set.cases)


def measure_case(data_set: DataSet, case: CaseFiles) -> CaseContent:
    """Read one case; see `measure_cases`."""
    volumes, mask, voxel_ml = _read_slices(data_set, case) if case.slices else _read_files(data_set, case)
    for modality, volume in zip(case.modalities, volumes, strict=True):
        if volume.shape != volumes[0].shape or volume.ndim != 3:
            raise ValueError(f"expected 3D modalities of one shape, got {volume.shape} for {modality} of {case.case}")
        if volume.min() == volume.max():
            raise ValueError(f"expected an image, got {volume.flat[0]} in every voxel of {modality} of {case.case}")
    hashes = tuple(hash_voxels(volume) for volume in volumes)
    if mask is None:
        return CaseContent(hashes, None, None)
    if mask.shape != volumes[0].shape:
        raise ValueError(f"expected a mask of shape {volumes[0].shape}, got {mask.shape} in {case.label}")
    voxels = count_tissues(mask, data_set.label_codes, where=f"{case.label}", hint=_hint(data_set))
    tumour_voxels = sum(count for tissue, count in voxels.items() if tissue not in _NOT_TUMOUR)
    # Rounded, so that the last bit of a processor's arithmetic does not decide about a stratum.
    return CaseContent(hashes, hash_voxels(mask), round(tumour_voxels * voxel_ml, 3))


def hash_voxels(volume: Array) -> str:
    """Hash voxels so that compression, storage type and byte order do not matter.

    Args:
        volume: scaled voxels `(W, H, D)`.

    Returns:
        sha256 of the shape as text (`240x240x155;`) and the values as little-endian float32 in C order.
    """
    values = np.asarray(volume, dtype=np.float32) + np.float32(0)  # -0.0 becomes 0.0
    digest = hashlib.sha256(("x".join(map(str, volume.shape)) + ";").encode())
    digest.update(values.astype("<f4", order="C").data)
    return digest.hexdigest()


def count_tissues(mask: Array, codes: Mapping[str, int], *, where: str, hint: str = "") -> dict[str, int]:
    """Count the voxels of each tissue.

    Args:
        mask: label values `(W, H, D)`.
        codes: code of each tissue; 0 is background.
        where: relative file, for the error.
        hint: words to add to the error if the value is 4.

    Returns:
        Number of voxels of each tissue.

    Raises:
        ValueError: If a value is not one of the codes or 0, so also if it is fractional.
    """
    counts = {tissue: int(np.count_nonzero(mask == code)) for tissue, code in codes.items()}
    if sum(counts.values()) + int(np.count_nonzero(mask == 0)) != mask.size:
        allowed = [0, *sorted(codes.values())]
        strange = np.unique(mask[~np.isin(mask, allowed)])[:3].tolist()
        names = ", ".join(map(str, allowed))
        raise ValueError(
            f"expected labels {names}, got {', '.join(f'{value:g}' for value in strange)} in {where}"
            f"{hint if 4 in strange else ''}"
        )
    return counts


def _hint(data_set: DataSet) -> str:
    after_treatment = "; for scans after treatment, where 4 is the resection cavity, use --layout brats2024"
    return after_treatment if data_set.layout == "brats2023" else ""


def _read_slices(data_set: DataSet, case: CaseFiles) -> tuple[list[Array], Array | None, float]:
    image, mask = read_h5_slices(
        data_set.root, case.image[0], slices=case.slices or 0, with_mask=case.label is not None
    )
    return [image[..., channel] for channel in range(image.shape[-1])], mask, _H5_VOXEL_ML


def _read_files(data_set: DataSet, case: CaseFiles) -> tuple[list[Array], Array | None, float]:
    files = [read_nifti(data_set.root, path) for path in case.image]
    volumes = [file.voxels for file in files]
    if len(volumes) == 1:
        shape = volumes[0].shape
        if len(shape) != 4 or shape[3] != len(case.modalities):
            raise ValueError(f"expected 4D with {len(case.modalities)} channels, got {shape} in {case.image[0]}")
        volumes = [volumes[0][..., channel] for channel in range(shape[3])]
    if case.label is None:
        return volumes, None, files[0].voxel_volume_ml
    mask = read_nifti(data_set.root, case.label)
    return volumes, mask.voxels, mask.voxel_volume_ml
