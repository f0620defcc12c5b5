"""Write small CT series as DICOM, with any tag of any slice spoilt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
AXIAL = (1.0, 0, 0, 0, 1, 0)
SHAPE = (6, 8)  # rows, columns
SPACING_MM = (0.8, 0.6)  # between rows, between columns
STUDY, SERIES, FRAME = (generate_uid(entropy_srcs=[name]) for name in ("study", "series", "frame of reference"))


def stored_slices(count: int, seed: int = 88) -> NDArray[np.int16]:
    """Made-up stored values `(S, R, C)`, no two alike."""
    return np.random.default_rng(seed).integers(-1000, 1500, (count, *SHAPE), dtype=np.int16)


def tilted(degrees: float) -> list[float]:
    """Direction cosines of a gantry tilted about the left-right axis; the table moves along z all the same."""
    turn = np.radians(degrees)
    return [1, 0, 0, 0, float(np.cos(turn)), float(-np.sin(turn))]


def ct_dataset(values: NDArray[np.int16], z_mm: float, number: int, **tags: object) -> FileDataset:
    """One classic CT image at `(0, 0, z_mm)`; keywords replace its tags, and None takes one away."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CT_IMAGE
    entropy = [f"{z_mm} {number} {tags}", values.tobytes().hex()]  # the same bytes in every run
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=entropy)
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = CT_IMAGE, meta.MediaStorageSOPInstanceUID
    image.PatientName, image.PatientID, image.PatientBirthDate = "Doe^Jane", "ID-4711", "19500101"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = STUDY, SERIES, FRAME
    image.Modality, image.SeriesNumber, image.InstanceNumber = "CT", 2, number
    image.ImageType, image.ConvolutionKernel = ["ORIGINAL", "PRIMARY", "AXIAL"], "STD"
    image.ImagePositionPatient, image.ImageOrientationPatient = [0.0, 0.0, z_mm], list(AXIAL)
    image.PixelSpacing, image.SliceThickness = list(SPACING_MM), 5.0
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, 0, "HU"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = values.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.PixelData = values.tobytes()
    spoil(image, **tags)
    return image


def spoil(image: Dataset, **tags: object) -> None:
    """Replace tags; None takes one away."""
    for keyword, value in tags.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)


def save(image: Dataset, file: Path) -> Path:
    """Write a dataset as it is, right or wrong."""
    file.parent.mkdir(parents=True, exist_ok=True)
    syntax = image.file_meta.TransferSyntaxUID
    little_endian, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    if int(pydicom.__version_info__[0]) >= 3 and little_endian:
        image.save_as(file, enforce_file_format=True)
    elif int(pydicom.__version_info__[0]) >= 3:
        pydicom.dcmwrite(file, image, implicit_vr=False, little_endian=False, force_encoding=True)
    else:
        image.is_little_endian, image.is_implicit_VR = little_endian, implicit
        image.save_as(file, write_like_original=False)
    return file


def write_series(
    folder: Path,
    values: NDArray[np.int16],
    z_mm: NDArray[np.float64] | None = None,
    change: Callable[[FileDataset, int], None] = lambda image, index: None,
    **tags: object,
) -> Path:
    """Write slices `(S, R, C)` to `folder`, in files whose names do not tell the order.

    Args:
        folder: where.
        values: stored values.
        z_mm: position of each slice; by default 5 mm apart.
        change: is given each image and its index, to spoil what it likes.
        tags: replaced in every slice.
    """
    places = 5.0 * np.arange(len(values)) if z_mm is None else z_mm
    for index, (image, place) in enumerate(zip(values, places, strict=True)):
        dataset = ct_dataset(image, float(place), index + 1, **tags)
        change(dataset, index)
        save(dataset, folder / f"{(7 * index + 3) % 101:03d}.dcm")
    return folder


def enhanced_dataset(values: NDArray[np.int16], z_mm: NDArray[np.float64], **tags: object) -> FileDataset:
    """One enhanced CT object: positions and rescale tags in each frame, the rest shared."""
    image = ct_dataset(values[0], 0.0, 1)
    spoil(image, ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None, SliceThickness=None)
    spoil(image, RescaleSlope=None, RescaleIntercept=None, RescaleType=None, ConvolutionKernel=None)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = ENHANCED_CT
    image.NumberOfFrames, image.PixelData = len(values), values.tobytes()
    measures = _item(PixelSpacing=list(SPACING_MM), SliceThickness=5.0)
    orientation = _item(ImageOrientationPatient=list(AXIAL))
    shared = _item(PixelMeasuresSequence=Sequence([measures]), PlaneOrientationSequence=Sequence([orientation]))
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    image.PerFrameFunctionalGroupsSequence = Sequence(
        [
            _item(
                PlanePositionSequence=Sequence([_item(ImagePositionPatient=[0.0, 0.0, float(z)])]),
                PixelValueTransformationSequence=Sequence([_item(RescaleSlope=1, RescaleIntercept=-index)]),
            )
            for index, z in enumerate(z_mm)
        ]
    )
    spoil(image, **tags)
    return image


def _item(**tags: object) -> Dataset:
    item = Dataset()
    spoil(item, **tags)
    return item
