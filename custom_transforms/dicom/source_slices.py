"""The DICOM slices that a result lies on: what it must refer to, and whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM, DSfloat

from custom_transforms.dicom.frames import CtSlice
from custom_transforms.refusal import RefusedError

# Type 2 attributes of patient and study, PS3.3 C.7.1.1 and C.7.2.1: sources may have lost them, results say so by
# leaving them empty
MAY_BE_EMPTY = ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
                "StudyTime", "ReferringPhysicianName"]  # fmt: skip
MUST_BE_THERE = ["SOPClassUID", "Modality", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"]
# How a source lost detail; one that says so without a ratio would make highdicom fail, so results copy it themselves
LOSSY = ["LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"]
SHARED = [*MAY_BE_EMPTY, *MUST_BE_THERE, *LOSSY, "IssuerOfPatientID", "PatientAge", "PatientIdentityRemoved",
          "DeidentificationMethod", "StudyDescription", "PositionReferenceIndicator"]  # fmt: skip
SEXES = ("M", "F", "O")  # PS3.3 C.7.1.1
CHECKED = {"DA": DA, "TM": TM}  # raise where there is no such day or time


@dataclass(frozen=True, eq=False)
class SourceSlices:
    """The slices of one series, in the order of a volume. Plain values, which another process may have read.

    Args:
        about: what all slices share, of patient, study and series, in the JSON model of DICOM (PS3.18 F.2).
        uids: SOPInstanceUID of each slice's object, S of them.
        frames: number of each slice within its object, from 1; none where each slice is an object.
        positions_mm: centre of each slice's first pixel, LPS, `(S, 3)`.
        directions: unit vectors along a row and along a column, LPS, `(2, 3)`.
        spacing_mm: distance between rows and between columns, `(2,)`.
        thickness_mm: nominal thickness of each slice, `(S,)`; the median step where a slice does not say.
        shape: rows and columns.
    """

    about: dict[str, Any]
    uids: list[str]
    frames: list[int]
    positions_mm: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    thickness_mm: NDArray[np.float64]
    shape: Sequence[int]

    @property
    def series_uid(self) -> str:
        """UID of the series."""
        return str(Dataset.from_json(self.about).SeriesInstanceUID)

    def datasets(self) -> list[Dataset]:
        """Make datasets such as highdicom takes for source images: one a slice, or one with all frames.

        Numbers of frames are then those of this volume; `frames` says which they are in the object.
        """
        if self.frames:
            return [self._enhanced()]
        images = [self._dataset(uid) for uid in self.uids]
        for image, position, thickness in zip(images, self.positions_mm, self.thickness_mm, strict=True):
            image.ImagePositionPatient = decimals(position)
            image.ImageOrientationPatient = decimals(self.directions.ravel())
            image.PixelSpacing, (image.SliceThickness,) = decimals(self.spacing_mm), decimals([thickness])
        return images

    def _dataset(self, uid: str) -> Dataset:
        image = Dataset.from_json(self.about)
        for keyword in LOSSY:
            image.pop(keyword, None)
        image.SOPInstanceUID, (image.Rows, image.Columns) = uid, self.shape
        return image

    def _enhanced(self) -> Dataset:
        """Put all slices into one object (PS3.3 C.7.6.16)."""
        image = self._dataset(self.uids[0])
        image.NumberOfFrames = len(self.uids)
        measures, orientation, shared = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing, (measures.SliceThickness,) = decimals(self.spacing_mm), decimals(self.thickness_mm[:1])
        orientation.ImageOrientationPatient = decimals(self.directions.ravel())
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
        image.SharedFunctionalGroupsSequence = [shared]
        image.PerFrameFunctionalGroupsSequence = []
        for position_mm in self.positions_mm:
            groups, place = Dataset(), Dataset()
            place.ImagePositionPatient = decimals(position_mm)
            groups.PlanePositionSequence = [place]
            image.PerFrameFunctionalGroupsSequence.append(groups)
        return image


def source_slices(planes: Sequence[CtSlice]) -> SourceSlices:
    """Take from the planes of one series, in the order of a volume, what results need.

    Raises:
        RefusedError: `missing_tag`, a study, series or frame of reference is not named; `several_objects`, the slices
            are frames of more than one multi-frame object.
    """
    first = planes[0]
    uids = [plane.tags.word("SOPInstanceUID") for plane in planes]
    enhanced = "PerFrameFunctionalGroupsSequence" in first.source
    if enhanced and len(set(uids)) > 1:
        expected, got = "slices of one multi-frame object", f"{len(set(uids))}"
        raise RefusedError.of("several_objects", first.tags.file, expected=expected, got=got)
    absent = [keyword for keyword in MUST_BE_THERE if not first.tags.word(keyword)]
    if absent or not all(uids):
        raise RefusedError.of("missing_tag", first.tags.file, expected=(*absent, "SOPInstanceUID")[0], got="none")
    positions_mm = np.array([plane.position_mm for plane in planes])
    thickness_mm = np.array([plane.thickness_mm for plane in planes])
    steps_mm = np.abs(np.diff(positions_mm @ first.normal)) if len(planes) > 1 else np.ones(1)
    return SourceSlices(
        about=_about(first.source),
        uids=uids,
        frames=[plane.frame + 1 for plane in planes] if enhanced else [],
        positions_mm=positions_mm,
        directions=first.directions,
        spacing_mm=first.spacing_mm,
        thickness_mm=np.where(np.isnan(thickness_mm), np.median(steps_mm), thickness_mm),
        shape=first.shape,
    )


def decimals(numbers: Sequence[float] | NDArray[np.float64]) -> list[DSfloat]:
    """Make decimal strings of at most 16 characters (PS3.5 6.2), as exact as they can be."""
    return [DSfloat(float(number), auto_format=True) for number in numbers]


def _about(source: Dataset) -> dict[str, Any]:
    """What all slices share; a value that no result may hold, as 30 February, becomes empty."""
    kept = Dataset()
    for keyword in MAY_BE_EMPTY:
        setattr(kept, keyword, None)
    for keyword in SHARED:
        with suppress(Exception):  # pydicom converts a value when asked for it, and each kind fails in its own way
            element = source[keyword]
            if element.VR in CHECKED:
                CHECKED[element.VR](element.value)
            if not element.is_empty and (keyword != "PatientSex" or element.value in SEXES):
                kept.add(element)
    if kept.get("PatientIdentityRemoved") == "YES" and "DeidentificationMethod" not in kept:
        kept.DeidentificationMethod = "not said by the source"  # type 1C, PS3.3 C.7.1.1
    return dict(kept.to_json_dict())
