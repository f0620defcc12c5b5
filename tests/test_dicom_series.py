"""What of a folder is the scan: images that do not belong are left out and told, or refused."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ct_files import (
    ct_dataset,
    save,
    spoil,
    stored_slices,
    write_series,
)
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from custom_transforms.ct_study import read_ct
from custom_transforms.refusal import RefusedError

OTHER_UID = generate_uid(entropy_srcs=["other"])
COUNT = 12


def only(spoilt: int, **tags: object) -> Callable[[FileDataset, int], None]:
    """Change tags of one slice."""
    return lambda image, index: spoil(image, **tags) if index == spoilt else None


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"RescaleSlope": None}, "missing_tag: .*RescaleSlope"),
        ({"RescaleIntercept": None}, "missing_tag: .*RescaleIntercept"),
        ({"RescaleSlope": 0}, "bad_tag: .*RescaleSlope"),
        ({"RescaleSlope": "nan"}, "bad_tag: .*RescaleSlope"),
        ({"RescaleType": "EDW"}, "not_hounsfield"),
        ({"ImagePositionPatient": None}, "missing_tag: .*ImagePositionPatient"),
        ({"ImageOrientationPatient": None}, "missing_tag: .*ImageOrientationPatient"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "bad_tag: .*ImageOrientationPatient"),
        ({"PixelSpacing": None}, "missing_tag: .*PixelSpacing"),
        ({"PixelSpacing": [0, 0]}, "bad_tag: .*PixelSpacing"),
        ({"PixelSpacing": [0.8, 0.9]}, "mixed_series"),
        ({"PixelData": None}, "no_pixel_data"),
        ({"PixelData": b"\0" * 94}, "truncated_pixels"),
        ({"PixelData": b"\0" * 98}, "surplus_pixels"),
        ({"Rows": 5}, "mixed_series"),
        ({"Modality": "MR"}, "wrong_modality"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "not_monochrome"),
        ({"BitsAllocated": 32}, "bad_tag"),
        ({"StudyInstanceUID": OTHER_UID}, "several_studies"),
        ({"PatientID": "ID-0815"}, "several_patients"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, "missing_slice"),
    ],
    ids=str,
)
def test_one_wrong_slice_is_refused(tmp_path: Path, tags: dict[str, object], reason: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom tells of a wrong value when it is written
        write_series(tmp_path, stored_slices(COUNT), change=only(5, **tags))
    with pytest.raises(RefusedError, match=reason):
        read_ct(tmp_path)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "MR"}, "wrong_modality: .*expected CT, got MR"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "only_localizers"),
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"]}, "only_derived_images"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MIP"], "LossyImageCompression": "01"}, "only_derived_images"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "only_captures"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_folder_without_original_ct_is_refused(tmp_path: Path, tags: dict[str, object], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        read_ct(write_series(tmp_path, stored_slices(COUNT), **tags))


def test_localizer_and_derived_images_are_left_out(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    write_series(tmp_path, values)
    scout = {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    save(ct_dataset(values[0], 0.0, 99, **scout), tmp_path / "scout.dcm")
    derived = {"SeriesInstanceUID": OTHER_UID, "ImageType": ["DERIVED", "SECONDARY", "MPR"]}
    write_series(tmp_path / "reformat", values, **derived)
    volume = read_ct(tmp_path)
    np.testing.assert_array_equal(volume.hu, values)
    assert volume.notes == ("left out: 12 derived_images, 1 localizers",)


def test_lossy_compression_alone_is_not_derived(tmp_path: Path) -> None:
    volume = read_ct(
        write_series(
            tmp_path, stored_slices(COUNT), ImageType=["DERIVED", "PRIMARY", "AXIAL"], LossyImageCompression="01"
        )
    )
    assert volume.notes == ("lossy compression",)


def test_two_scans_are_refused_and_listed_and_one_can_be_chosen(tmp_path: Path) -> None:
    write_series(tmp_path / "a", stored_slices(COUNT))
    other = stored_slices(COUNT, seed=1)
    write_series(tmp_path / "b", other, SeriesInstanceUID=OTHER_UID, SeriesNumber=7)
    with pytest.raises(
        RefusedError, match=r"several_series: .*series 2 \(12 slices of 6x8, 55 mm, kernel STD\); series 7"
    ):
        read_ct(tmp_path)
    np.testing.assert_array_equal(read_ct(tmp_path, series=7).hu, other)
    with pytest.raises(RefusedError, match="no_such_series: .*series 8"):
        read_ct(tmp_path, series=8)


def test_bone_kernel_gives_way_to_soft_tissue(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    write_series(tmp_path / "soft", values)
    bone = {"SeriesInstanceUID": OTHER_UID, "SeriesNumber": 3, "ConvolutionKernel": "BONEPLUS"}
    write_series(tmp_path / "bone", stored_slices(COUNT, seed=1), **bone)
    volume = read_ct(tmp_path)
    np.testing.assert_array_equal(volume.hu, values)
    assert volume.notes == ("other series left out: series 3 (12 slices of 6x8, 55 mm, kernel BONEPLUS)",)


def test_slices_name_their_objects_of_the_chosen_series_from_the_feet(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "soft", stored_slices(COUNT))
    write_series(tmp_path / "bone", stored_slices(COUNT, seed=1), SeriesInstanceUID=OTHER_UID, ConvolutionKernel="BONE")
    images = sorted(map(dcmread, folder.iterdir()), key=lambda image: image.ImagePositionPatient[2])
    assert read_ct(tmp_path).instance_uids == tuple(image.SOPInstanceUID for image in images)


def test_two_patients_are_refused_even_in_two_series(tmp_path: Path) -> None:
    write_series(tmp_path / "a", stored_slices(COUNT))
    write_series(tmp_path / "b", stored_slices(COUNT), SeriesInstanceUID=OTHER_UID, PatientID="ID-0815")
    with pytest.raises(RefusedError, match="several_patients") as refusal:
        read_ct(tmp_path)
    assert "4711" not in str(refusal.value) + repr(refusal.value.__cause__)


def test_other_files_are_left_out_and_told(tmp_path: Path) -> None:
    write_series(tmp_path, stored_slices(COUNT))
    (tmp_path / "README.txt").write_text("about these images")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 200)
    (tmp_path / "._003.dcm").write_bytes(b"left by another system")
    assert read_ct(tmp_path).notes == ("1 files that are not DICOM left out",)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\0" * 4096])
def test_a_slice_that_is_no_dicom_is_refused(tmp_path: Path, content: bytes) -> None:
    (write_series(tmp_path, stored_slices(COUNT)) / "003.dcm").write_bytes(content)
    with pytest.raises(RefusedError, match="unreadable_file: 003.dcm"):
        read_ct(tmp_path)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: float) -> None:
    file = write_series(tmp_path, stored_slices(COUNT)) / "003.dcm"
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    with pytest.raises(RefusedError):
        read_ct(tmp_path)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="not_dicom"):
        read_ct(tmp_path)
    with pytest.raises(RefusedError, match="missing_file: nowhere"):
        read_ct(tmp_path / "nowhere")


def test_warnings_and_refusals_never_quote_tags(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = "Doe^Jane " + 20 * "x"
        change = only(3, SeriesInstanceUID="Doe^Jane", ConvolutionKernel=name, RescaleType=name)
        write_series(tmp_path, stored_slices(COUNT), change=change, Modality="DOE^JANE")
    caplog.clear()
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        with pytest.raises(RefusedError) as refusal:
            read_ct(tmp_path)
    assert "doe" not in (str(refusal.value) + caplog.text).lower()
