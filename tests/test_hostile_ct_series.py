"""A head of which slices are missing, foreign, doubled or of another kind is refused with its reason."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ct_files import ct_dataset, save, spoil
from head_files import check, head_values, heights_mm, pixel_mm, write_head_series
from pydicom.dataset import FileDataset

from custom_transforms.check_ct import check_ct
from custom_transforms.ct_study import read_ct
from custom_transforms.plausible_head import HeadLimits
from custom_transforms.refusal import RefusedError

Write = Callable[[Path], object]
PDF, CAPTURE = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.7"


def kept(*indices: int) -> Write:
    chosen = list(indices)
    return lambda folder: write_head_series(folder, head_values()[chosen], heights_mm()[chosen])


def without(*indices: int) -> Write:
    return kept(*(index for index in range(27) if index not in indices))


def set_all(**tags: object) -> Write:
    return lambda folder: write_head_series(folder, **tags)


def set_from(first: int, **tags: object) -> Write:
    """Change the tags of the upper slices."""

    def change(image: FileDataset, index: int) -> None:
        if index >= first:
            spoil(image, **tags)

    return lambda folder: write_head_series(folder, change=change)


def set_one(**tags: object) -> Write:
    def change(image: FileDataset, index: int) -> None:
        if index == 13:
            spoil(image, **tags)

    return lambda folder: write_head_series(folder, change=change)


def two_images_at_one_place(folder: Path) -> None:
    again = ct_dataset(head_values()[13] + 1, 65.0, 13, PixelSpacing=[pixel_mm()] * 2)
    save(again, write_head_series(folder) / "again.dcm")


def two_kernels(folder: Path) -> None:
    write_head_series(folder / "a", ConvolutionKernel="STD")
    write_head_series(folder / "b", ConvolutionKernel="SOFT")


def interleaved_patients(folder: Path) -> None:
    """Two heads with the same identifiers and no id, as after a bad anonymisation."""
    anonymous = {"PatientID": "", "PatientName": "", "PatientBirthDate": ""}
    write_head_series(folder / "a", **anonymous)
    write_head_series(folder / "b", head_values()[::-1].copy(), **anonymous)


SERIES: dict[str, tuple[Write, str]] = {
    "a slice missing": (without(9), "missing_slice"),
    "the second slice missing": (without(1), "missing_slice"),
    "every second slice missing": (kept(*range(0, 27, 2)), "missing_slice: .: expected steps up to 1.8 times"),
    "a block missing": (without(*range(10, 16)), "missing_slice"),
    "two images at one place": (two_images_at_one_place, "two_images_one_position"),
    "a slice of another study": (set_one(StudyInstanceUID="1.2.3"), "several_studies"),
    "half of another series": (set_from(13, SeriesInstanceUID="1.2.3", SeriesNumber=9), "several_series"),
    "half of another patient": (set_from(13, PatientID="ID-0815"), "several_patients"),
    "half of another name": (set_from(13, PatientID="", PatientName="Roe^Richard"), "several_patients"),
    "names without ids": (
        lambda folder: write_head_series(
            folder, change=lambda image, i: spoil(image, PatientID="", PatientName=f"P^{i // 14}")
        ),
        "several_patients",
    ),
    "two heads with one identity": (interleaved_patients, "two_images_one_position"),
    "a slice of another size": (
        set_one(Rows=96, Columns=192, PixelData=head_values()[13, :96].tobytes()),
        "mixed_series",
    ),
    "a slice of another spacing": (set_one(PixelSpacing=[0.5, 0.5]), "mixed_series"),
    "a slice of another orientation": (set_one(ImageOrientationPatient=[-1, 0, 0, 0, -1, 0]), "mixed_series"),
    "two soft kernels": (two_kernels, "mixed_series"),
    "only a localizer": (set_all(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "only_localizers"),
    "derived": (set_all(ImageType=["DERIVED", "SECONDARY", "AXIAL"]), "only_derived_images"),
    "MIP": (set_all(ImageType=["DERIVED", "PRIMARY", "MIP"]), "only_derived_images"),
    "screenshot": (set_all(SOPClassUID=CAPTURE, ImageType=["DERIVED", "SECONDARY"]), "only_captures"),
    "RGB": (set_all(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "not_monochrome"),
    "palette": (set_all(PhotometricInterpretation="PALETTE COLOR"), "not_monochrome"),
    "MR": (set_all(Modality="MR"), "wrong_modality"),
    "PET": (set_all(Modality="PT"), "wrong_modality"),
    "encapsulated PDF": (set_all(SOPClassUID=PDF, Modality="DOC", PixelData=None), "wrong_modality"),
    "encapsulated PDF that says CT": (set_all(SOPClassUID=PDF, PixelData=None), "only_captures"),
    "sagittal": (set_all(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "not_axial"),
    "half a head": (kept(*range(16, 27)), "too_little_head"),
    "one slice": (kept(13), "implausible_spacing"),
    "missing position": (set_one(ImagePositionPatient=None), "missing_tag"),
    "missing orientation": (set_one(ImageOrientationPatient=None), "missing_tag"),
    "position is no number": (set_one(ImagePositionPatient=[0, 0, "nan"]), "bad_tag"),
    "position beyond all measure": (set_one(ImagePositionPatient=[0, 0, 1e300]), "bad_tag"),
    "spacing missing": (set_all(PixelSpacing=None), "missing_tag"),
    "spacing zero": (set_all(PixelSpacing=[0, 0]), "bad_tag"),
    "spacing negative": (set_all(PixelSpacing=[-1, -1]), "bad_tag"),
    "spacing beyond all measure": (set_all(PixelSpacing=["1e300", "1e300"]), "bad_tag"),
    "spacing of a whole body": (set_all(PixelSpacing=[3, 3]), "implausible_spacing"),
    "spacing of a microscope": (set_all(PixelSpacing=[0.01, 0.01]), "implausible_spacing"),
    "steps of a microscope": (
        lambda folder: write_head_series(folder, z_mm=0.1 * np.arange(27), SliceThickness=0.1),
        "implausible_spacing",
    ),
    "steps of a whole body": (
        lambda folder: write_head_series(folder, z_mm=20.0 * np.arange(27), SliceThickness=20),
        "implausible_spacing",
    ),
    "crooked": (set_one(ImagePositionPatient=[8, 0, 65]), "crooked_stack"),
}


@pytest.mark.parametrize("name", SERIES)
def test_head_with_wrong_slices_is_refused(tmp_path: Path, name: str) -> None:
    write, reason = SERIES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom tells of a wrong value when it is written
        write(tmp_path)
    with pytest.raises(RefusedError, match=f"^{reason}"):
        check(tmp_path)


def test_overlapping_slices_with_every_second_lost_are_warned_of(tmp_path: Path) -> None:
    every_second = {"z_mm": 5.0 * np.arange(27), "SliceThickness": 5.0}
    study = check(
        write_head_series(tmp_path, change=lambda image, i: spoil(image, InstanceNumber=2 * i + 1), **every_second)
    )
    assert study.warnings == ("instance numbers go in steps of 2: slices may be missing",)


def test_abdomen_as_dicom_is_refused(tmp_path: Path, real_scans: Path) -> None:
    abdomen = read_ct(real_scans / "ct_abdomen" / "example_ct.nii.gz")
    values = np.rint(abdomen.hu).astype(np.int16)
    folder = write_head_series(tmp_path, values, 3.0 * np.arange(len(values)), SliceThickness=3, PixelSpacing=[3, 3])
    with pytest.raises(RefusedError, match="implausible_spacing: .: expected pixels of 0.2 to 1.5 mm, got 3.00"):
        check(folder)
    with pytest.raises(RefusedError, match="not_a_head: .: expected a closed shell of bone"):
        check_ct(folder, limits=HeadLimits(pixel_mm=(0.2, 3.5)))


def chest(pixels: int = 400, pixel_mm: float = 0.9) -> np.ndarray:
    """Hounsfield units of one slice: body, lungs, heart, spine, and ribs with gaps between them."""
    y, x = (np.mgrid[:pixels, :pixels] - pixels / 2) * pixel_mm
    hu = np.full((pixels, pixels), -1000, np.int16)
    hu[(x / 170) ** 2 + (y / 115) ** 2 < 1] = 40
    wall = (x / 145) ** 2 + (y / 90) ** 2
    hu[(wall > 1) & (wall < 1.2) & (np.sin(9 * np.arctan2(y, x)) > 0)] = 500
    for side in (-1, 1):
        hu[((x - 70 * side) / 55) ** 2 + (y / 75) ** 2 < 1] = -850
    hu[(x / 40) ** 2 + ((y + 10) / 45) ** 2 < 1] = 45
    hu[x**2 + (y - 75) ** 2 < 18**2] = 400
    return hu


def test_chest_at_the_pixels_of_a_head_is_refused(tmp_path: Path) -> None:
    write_head_series(tmp_path, np.repeat(chest()[None], 20, axis=0), 5.0 * np.arange(20), PixelSpacing=[0.9, 0.9])
    with pytest.raises(RefusedError, match="^not_a_head: .: "):
        check(tmp_path)
