"""Phantom heads on disk: `CTs/<patient>/*.dcm` or `CTs/<patient>.nii.gz`, and `labels.csv`."""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import nibabel as nib
import numpy as np

from data_lists.phantom_ct import PhantomHead
from data_lists.phantom_dicom import write_series

HeadFormat = Literal["dicom", "nifti"]
HEAD_FORMATS: tuple[HeadFormat, ...] = get_args(HeadFormat)


def head_name(index: int) -> str:
    """Name of patient `index` in file names and tables."""
    return f"phantom_{index:04d}"


def write_head(head: PhantomHead, folder: Path, *, index: int, file_format: HeadFormat) -> None:
    """Write one head below `folder`/CTs; it appears under its final name only when complete.

    Args:
        head: what to write.
        folder: where the data set is; made if missing.
        index: number of the patient, which becomes its name.
        file_format: one of `HEAD_FORMATS`.

    Raises:
        ValueError: if the format is unknown.
        FileExistsError: if the patient is there already.
    """
    if file_format not in HEAD_FORMATS:
        raise ValueError(f"file_format must be one of {', '.join(HEAD_FORMATS)}, got {file_format!r}")
    images = folder / "CTs"
    images.mkdir(parents=True, exist_ok=True)
    target = images / (head_name(index) + (".nii.gz" if file_format == "nifti" else ""))
    if target.exists():
        raise FileExistsError(f"{target} exists already")
    with tempfile.TemporaryDirectory(prefix=".unfinished_", dir=images) as room:
        finished = Path(room) / target.name
        if file_format == "nifti":
            write_nifti(head, finished)
        else:
            finished.mkdir()
            write_series(head, finished, name=f"TEST-{index:04d}")  # the folder's would be taken for a patient's name
        finished.rename(target)


def write_nifti(head: PhantomHead, path: Path) -> None:
    """Write a head as int16 NIfTI of axes (column, row, slice), without a time stamp: equal heads are equal files.

    NIfTI knows one step between slices: of uneven slices the median is written. A tilt's shear fits the sform only, so
    the qform is left out.
    """
    image = nib.Nifti1Image(np.ascontiguousarray(head.hu.transpose(2, 1, 0)), head.affine)
    image.set_sform(head.affine, code=1)
    image.set_qform(None, code=0)
    image.header.set_xyzt_units(xyz="mm")
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def write_labels(folder: Path, labels: Mapping[int, bool]) -> None:
    """Write `labels.csv`: row number, patient, and 1 where there are metastases, from patient numbers to labels."""
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["ID", "PatientID", "Label"])
        table.writerows([row, head_name(index), int(labels[index])] for row, index in enumerate(sorted(labels), 1))
