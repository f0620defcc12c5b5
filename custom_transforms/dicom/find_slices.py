"""Find again the DICOM slices that a volume was read from, or those of a series that a mask is to lie on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import Tag

from custom_transforms.archive import MAX_BYTES, unpack_zip
from custom_transforms.dicom.frames import frame_tags, parse_slice
from custom_transforms.dicom.headers import READ_TAGS, read_headers
from custom_transforms.dicom.source_slices import SHARED, SourceSlices, source_slices
from custom_transforms.dicom.tags import Converted, Tags, silent_pydicom
from custom_transforms.identifying import shown_name
from custom_transforms.refusal import RefusedError
from custom_transforms.runs.isolation import run_isolated
from custom_transforms.runs.limits import LIMITS, Limits

TAGS = [Tag(keyword) for keyword in sorted({*READ_TAGS, *SHARED} - {"PixelData"})]


def find_slices_isolated(
    path: str | Path, uids: Sequence[str] = (), frames: Sequence[int] = (), *, limits: Limits = LIMITS
) -> SourceSlices:
    """Do what `find_slices` does in a process apart, as scans are read.

    Args:
        path: see `find_slices`.
        uids: see `find_slices`.
        frames: see `find_slices`.
        limits: of memory and time.

    Raises:
        RefusedError: see `find_slices` and `custom_transforms.runs.isolation.run_isolated`.
    """
    path = Path(path)
    whole = os.path.abspath(path)  # noqa: PTH100 (pathlib would follow links; see isolated_readers)
    is_zip = path.suffix.lower() == ".zip"
    try:
        fields = run_isolated(
            "custom_transforms.dicom.find_slices:find_slices",
            {"path": whole, "uids": list(uids), "frames": list(frames)},
            name="." if path.is_dir() else path.name,
            limits=limits,
            scratch_mib=MAX_BYTES >> 20 if is_zip else 0,
        )
    except RefusedError as error:
        raise error.renamed(shown_name(error.file, path)) from None
    return SourceSlices(**fields)


def find_slices(path: str, uids: Sequence[str] = (), frames: Sequence[int] = ()) -> SourceSlices:
    """Read the headers of the slices that a result lies on.

    Args:
        path: folder, zip or file of DICOM.
        uids: SOPInstanceUID of each slice, in the order of the volume. By default all images of the one series that
            is there, in the order of their positions along the normal; objects that are no images are passed over.
        frames: number of each slice within its object, from 1.

    Raises:
        RefusedError: `changed_study`, one of the slices is not there any more; `several_series`, without `uids`;
            `only_other_objects`, no image there; see also `read_headers`, `parse_slice` and `source_slices`.
    """
    if path.lower().endswith(".zip"):
        with tempfile.TemporaryDirectory(prefix="study_") as folder:
            unpack_zip(path, folder)
            return find_slices(folder, uids, frames)
    name = "." if Path(path).is_dir() else Path(path).name
    with silent_pydicom():
        sources, _ = read_headers(Path(path), TAGS)
        if not uids:
            return slices_of_series(sources, name)
        known = {
            (tags.word("SOPInstanceUID"), frame + 1): (source, tags, frame) for source, tags, frame in _tagged(sources)
        }
        wanted = list(zip(uids, frames, strict=True))
        if any(slice_ not in known for slice_ in wanted):
            raise RefusedError.of("changed_study", name, expected="the slices that were read", got="others")
        return source_slices([parse_slice(*known[slice_]) for slice_ in wanted])


def slices_of_series(sources: Sequence[Dataset], name: str) -> SourceSlices:
    """Take the slices of the one series that datasets belong to, by position along the normal, towards the head.

    Args:
        sources: datasets without pixels; those that are no images are passed over.
        name: of the study, for messages.

    Raises:
        RefusedError: see `find_slices`.
    """
    images = [one for one in _tagged(sources) if one[1].words("ImageOrientationPatient")]
    planes = [parse_slice(*image) for image in images]
    if not planes:
        raise RefusedError.of("only_other_objects", name, expected="images of one series", got="none")
    series = {plane.tags.word("SeriesInstanceUID") for plane in planes}
    if len(series) > 1:
        raise RefusedError.of("several_series", name, expected="images of one series", got=f"{len(series)} series")
    order = np.argsort([plane.position_mm @ planes[0].normal for plane in planes])
    return source_slices([planes[index] for index in order])


def _tagged(sources: Sequence[Dataset]) -> list[tuple[FileDataset, Tags, int]]:
    converted: Converted = {}
    files = cast(Sequence[FileDataset], sources)  # or from a store: what only a file has is not asked for
    return [(source, tags, frame) for source in files for frame, tags in enumerate(frame_tags(source, converted))]
