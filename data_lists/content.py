"""What only the voxels of a case can tell: hashes and tumour volume. The readers, which refuse, are the caller's."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from data_lists.case_files import CaseFiles, DataSet

Volume: TypeAlias = NDArray[np.float32]
Codes: TypeAlias = NDArray[np.uint8]
Affine: TypeAlias = NDArray[np.float64]

Case = TypeVar("Case")
Content = TypeVar("Content")

_NOT_TUMOUR = {"resection cavity"}


class ReadPatient(Protocol):
    """How a case is read: a function of a module, since other processes import it.

    It is the reader of the bundle that the list is for, so that a list holds what the bundle accepts, and nothing else.
    """

    def __call__(
        self,
        image: str | Sequence[str],
        modalities: Sequence[str],
        /,
        *,
        label: str | None,
        codes: Mapping[str, int] | None,
    ) -> tuple[Volume, Affine, Codes | None]:
        """Read image and mask of a case.

        Args:
            image: one file per modality, one 4D file, or a pattern of slices.
            modalities: which modality each file or channel is.
            label: the mask, a file or a pattern of slices, on the grid of the image; None where there is none.
            codes: tissue to its code in the mask.

        Returns:
            volume `(4, X, Y, Z)` in the order of `case_files.MODALITIES`; its affine to RAS mm `(4, 4)`; and codes
            `(X, Y, Z)`, None without a mask.

        Raises:
            ValueError: the case is not to be worked on; for codes that the convention does not have, the text begins
                with `unknown_label:`.
        """


@dataclass(frozen=True)
class CaseContent:
    """What the voxels of one case tell.

    Attributes:
        image_sha256: hash of each modality, in the order of `case_files.MODALITIES`, not of the case's files.
        label_sha256: hash of the mask; None if unlabelled.
        tumour_ml: volume of all tumour tissue in ml, without a resection cavity; None if unlabelled.
    """

    image_sha256: tuple[str, ...]
    label_sha256: str | None
    tumour_ml: float | None


def measure_cases(data_set: DataSet, *, read: ReadPatient, workers: int = 1) -> Iterator[CaseContent]:
    """Read every case of a data set, in its order.

    Args:
        data_set: what `find_data_set` found.
        read: how a case is read.
        workers: processes; one case takes about two seconds and 400 MB.

    Yields:
        Content of each case.

    Raises:
        ValueError: If the reader refuses a case, or slices came or went since the data set was searched.
    """
    # The data set is sent with every case: without the other cases.
    measure = partial(measure_case, data_set=replace(data_set, cases=()), read=read)
    yield from map_in_processes(measure, data_set.cases, workers=workers)


def map_in_processes(measure: Callable[[Case], Content], cases: Sequence[Case], *, workers: int) -> Iterator[Content]:
    """Measure cases, several at a time, in their order.

    Args:
        measure: function of a module, or a `partial` of one: other processes import it.
        cases: at least one.
        workers: processes; this one alone if there is only one.

    Yields:
        What `measure` returns for each case.
    """
    if workers <= 1:
        yield from map(measure, cases)
        return
    # "spawn": a fork of a process that already runs threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(cases)), mp_context=context) as pool:
        yield from pool.map(measure, cases)


def measure_case(case: CaseFiles, *, data_set: DataSet, read: ReadPatient) -> CaseContent:
    """Read one case; see `measure_cases`."""
    image, affine, codes = _read(case, data_set=data_set, read=read)
    if case.slices is not None and image.shape[3] != case.slices:
        raise ValueError(f"expected {case.slices} slices, got {image.shape[3]} in {case.image[0]}")
    hashes = tuple(hash_voxels(volume, affine) for volume in image)
    if codes is None:
        return CaseContent(hashes, None, None)
    tumour_codes = [code for tissue, code in data_set.label_codes.items() if tissue not in _NOT_TUMOUR]
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000  # mm3 to ml
    # Rounded, so that the last bit of a processor's arithmetic does not decide about a stratum.
    tumour_ml = round(int(np.isin(codes, tumour_codes).sum()) * voxel_ml, 3)
    return CaseContent(hashes, hash_voxels(codes, affine), tumour_ml)


def hash_voxels(volume: Volume | Codes, affine: Affine) -> str:
    """Hash voxels so that compression, storage type, byte order and the direction of the axes do not matter.

    Args:
        volume: scaled voxels `(X, Y, Z)`.
        affine: voxel indices to RAS mm `(4, 4)`; only the directions of the axes are taken from it.

    Returns:
        sha256 of the voxels turned to RAS: the shape as text (`240x240x155;`), then the values as little-endian
        float32 in C order.
    """
    turned = nib.orientations.apply_orientation(volume, nib.io_orientation(affine))
    values = np.asarray(turned, dtype=np.float32) + np.float32(0)  # -0.0 becomes 0.0
    digest = hashlib.sha256(("x".join(map(str, values.shape)) + ";").encode())
    digest.update(values.astype("<f4", order="C").data)
    return digest.hexdigest()


def _read(case: CaseFiles, *, data_set: DataSet, read: ReadPatient) -> tuple[Volume, Affine, Codes | None]:
    """Read a case; where the names of its mask are those of two releases, say so to who took the wrong one."""
    paths = [str(data_set.root.absolute() / path) for path in case.image]
    label = None if case.label is None else str(data_set.root.absolute() / case.label)
    try:
        return read(paths if len(paths) > 1 else paths[0], case.modalities, label=label, codes=data_set.label_codes)
    except ValueError as error:
        if data_set.layout != "brats2023" or not str(error).startswith("unknown_label:"):
            raise
        hint = "for scans after treatment, where 4 is the resection cavity, use --layout brats2024"
        raise ValueError(f"{error} ({hint})") from error
