"""Phantom heads as DICOM series: one CT Image Storage file a slice, as a scanner would send them.

What differs between scanners differs here too: stored type and intercept, padding, order of instance numbers and file
names, and whether a localizer lies in the same folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from data_lists.phantom_ct import PhantomHead

_LOCALIZER_STEP_MM = 2.0
_SIGNED, _UNSIGNED = (1, np.dtype("<i2")), (0, np.dtype("<u2"))


def write_series(head: PhantomHead, folder: Path, *, name: str) -> None:
    """Write a head's slices, and its localizer where the scanner makes one, into an existing folder.

    Equal heads give equal files; unique identifiers are made from the voxels and the name.

    Args:
        head: what to write.
        folder: an existing, empty folder.
        name: of the made-up patient, such as `TEST-0001`.

    Reference:
        DICOM PS3.3 A.3 (CT image), C.8.2.1 (CT image module), C.7.6.2 (image plane).
    """
    root = hashlib.sha256(head.hu.tobytes() + name.encode()).hexdigest()
    count = head.hu.shape[0]
    numbers = np.arange(count)[::-1] if head.scanner.head_first else np.arange(count)
    files = np.random.default_rng(int(root[:8], 16)).permutation(count) if head.scanner.mixed_names else numbers
    for number in range(count):
        instance, file = int(numbers[number]) + 1, int(files[number]) + 1
        _write(_axial(head, number, instance=instance, root=root), folder / f"IM{file:04d}.dcm", name=name, root=root)
    if head.scanner.localizer:
        _write(_localizer(head, root=root), folder / f"IM{count + 1:04d}.dcm", name=name, root=root)


def _axial(head: PhantomHead, number: int, *, instance: int, root: str) -> Dataset:
    """One slice, with what belongs to it alone."""
    scanner = head.scanner
    to_lps = np.diag([-1.0, -1.0, 1.0]) @ head.affine[:3]
    position = to_lps[:, 3] + np.array([0.0, 0.0, scanner.slice_z_mm[number] - scanner.slice_z_mm[0]])
    dataset = _image(head, head.hu[number], padded=scanner.padding is not None)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesNumber, dataset.InstanceNumber = 2, instance
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = _uid(root, "axial", number), _uid(root, "axial series")
    dataset.ImagePositionPatient = _decimals(position)
    dataset.ImageOrientationPatient = _decimals(np.concatenate([to_lps[:, 0], to_lps[:, 1]]) / scanner.pixel_mm)
    dataset.SliceLocation, dataset.SliceThickness = _decimals(
        [scanner.slice_z_mm[number], scanner.thickness_mm[number]]
    )
    dataset.PixelSpacing = _decimals([scanner.pixel_mm, scanner.pixel_mm])
    dataset.GantryDetectorTilt = _decimals([scanner.tilt_degrees])[0]
    dataset.ConvolutionKernel = scanner.kernel
    return dataset


def _localizer(head: PhantomHead, *, root: str) -> Dataset:
    """A view from the side: the mean of the head from left to right, rows from top to feet, columns to the back."""
    scanner = head.scanner
    heights = np.arange(scanner.slice_z_mm[-1], scanner.slice_z_mm[0], -_LOCALIZER_STEP_MM)
    nearest = np.abs(heights[:, None] - scanner.slice_z_mm).argmin(axis=1)
    view = np.maximum(head.hu, -1000).mean(axis=2)[nearest].astype(np.int16)
    dataset = _image(head, view, padded=False)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = _uid(root, "localizer"), _uid(root, "localizer series")
    dataset.ImagePositionPatient = _decimals([0.0, -head.affine[1, 3], heights[0]])
    dataset.ImageOrientationPatient = _decimals([0, 1, 0, 0, 0, -1])
    dataset.SliceThickness = _decimals([_LOCALIZER_STEP_MM])[0]
    dataset.PixelSpacing = _decimals([_LOCALIZER_STEP_MM, scanner.pixel_mm])
    return dataset


def _image(head: PhantomHead, hu: NDArray[np.int16], *, padded: bool) -> Dataset:
    """The pixels of one image and how they are stored."""
    scanner = head.scanner
    signed = scanner.intercept == 0 or scanner.padding is not None
    representation, kind = _SIGNED if signed else _UNSIGNED
    dataset = Dataset()
    dataset.Rows, dataset.Columns = hu.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = representation
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = str(scanner.intercept), "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "40", "80"
    dataset.KVP = str(scanner.kvp)
    if padded:
        dataset.add_new("PixelPaddingValue", "SS", scanner.padding)
    dataset.add_new("PixelData", "OW", (hu.astype(np.int32) - scanner.intercept).astype(kind).tobytes())
    return dataset


def _write(dataset: Dataset, path: Path, *, name: str, root: str) -> None:
    """Add what all files of a study share, and write the file; the same call in pydicom 2.4 and 3."""
    dataset.SOPClassUID, dataset.Modality = CTImageStorage, "CT"
    dataset.PatientID, dataset.PatientName = name, f"Test^{name.rpartition('-')[2]}"
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = _uid(root, "study"), _uid(root, "frame")
    dataset.Manufacturer, dataset.StudyID, dataset.AcquisitionNumber = "Phantom", "1", 1
    for empty in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
                  "ReferringPhysicianName", "PositionReferenceIndicator"):  # fmt: skip
        setattr(dataset, empty, "")
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength, meta.FileMetaInformationVersion = 0, b"\0\1"  # the length is set on writing
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, dataset.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = ExplicitVRLittleEndian, PYDICOM_IMPLEMENTATION_UID
    whole = FileDataset(path, dataset, preamble=b"\0" * 128, file_meta=meta, is_implicit_VR=False)
    whole.save_as(path)


def _uid(root: str, *parts: object) -> str:
    return generate_uid(entropy_srcs=[root, *map(str, parts)])


def _decimals(numbers: NDArray[np.float64] | list[float]) -> list[str]:
    """Decimal strings of at most 16 characters, DICOM PS3.5 6.2."""
    return [f"{number:.6f}" for number in numbers]
