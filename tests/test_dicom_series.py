"""A series is read as it was acquired, or refused with its reason."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import itk
import numpy as np
import pydicom
import pytest
from ct_files import (
    SPACING_MM,
    ct_dataset,
    enhanced_dataset,
    save,
    spoil,
    stored_slices,
    tilted,
    write_series,
)
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from custom_transforms.ct_study import read_ct
from custom_transforms.refusal import RefusedError

OTHER_UID = generate_uid(entropy_srcs=["other"])
COUNT = 12


def only(spoilt: int, **tags: object) -> Callable[[FileDataset, int], None]:
    """Change tags of one slice."""
    return lambda image, index: spoil(image, **tags) if index == spoilt else None


def drop(folder: Path, *indices: int) -> Path:
    for index in indices:
        (folder / f"{(7 * index + 3) % 101:03d}.dcm").unlink()
    return folder


def test_slices_ascend_whatever_files_and_numbers_say(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    volume = read_ct(write_series(tmp_path, values, change=lambda image, i: spoil(image, InstanceNumber=COUNT - i)))
    np.testing.assert_array_equal(volume.hu, np.maximum(values, -1024))
    np.testing.assert_allclose(volume.slice_positions_mm, 5.0 * np.arange(COUNT))
    assert volume.hu.dtype == np.float32
    assert volume.hu.flags.c_contiguous
    assert volume.notes == ()


def test_places_and_voxels_are_those_of_itk(tmp_path: Path) -> None:
    write_series(
        tmp_path, stored_slices(COUNT), change=lambda image, i: spoil(image, ImagePositionPatient=[-7, 9, 5 * i - 20])
    )
    names = itk.GDCMSeriesFileNames.New(Directory=str(tmp_path))
    image = itk.imread(names.GetInputFileNames(), itk.F)
    volume = read_ct(tmp_path)
    np.testing.assert_array_equal(volume.hu, itk.array_view_from_image(image))
    for index in ((0, 0, 0), (7, 0, 0), (0, 5, 0), (3, 2, 11)):
        left, back, up = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((volume.affine @ [*index, 1])[:3], [-left, -back, up], atol=1e-4)


def test_tilt_is_kept_as_shear_and_told(tmp_path: Path) -> None:
    volume = read_ct(write_series(tmp_path, stored_slices(COUNT), ImageOrientationPatient=tilted(18.5)))
    np.testing.assert_allclose(np.diff(volume.slice_positions_mm), 5 * np.cos(np.radians(18.5)))
    np.testing.assert_allclose((volume.affine @ [0, 0, 3, 1])[:3], [0, 0, 15], atol=1e-9)  # along the table
    assert "gantry tilted by 18.5 degrees" in volume.notes


def test_a_slab_of_thick_slices_on_thin_ones_is_kept_as_acquired(tmp_path: Path) -> None:
    z = np.array([0, 4, 8, 12, 16, 17.1, 24.1, 31.1, 38.1, 45.1, 52.1, 59.1])
    volume = read_ct(
        write_series(tmp_path, stored_slices(COUNT), z, lambda image, i: spoil(image, SliceThickness=4 if i < 5 else 7))
    )
    np.testing.assert_allclose(volume.slice_positions_mm, z)
    assert volume.affine[2, 2] == pytest.approx(7)  # the median step
    assert any("not to scale" in note for note in volume.notes)


@pytest.mark.parametrize("lost", [1, 5, 6, 10])
def test_a_missing_slice_is_refused(tmp_path: Path, lost: int) -> None:
    with pytest.raises(RefusedError, match="missing_slice: .*expected a step of 5.00 mm, got 10.00 mm"):
        read_ct(drop(write_series(tmp_path, stored_slices(COUNT)), lost))


def test_several_missing_slices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="missing_slice"):
        read_ct(drop(write_series(tmp_path, stored_slices(COUNT)), 3, 5, 7))


def test_a_missing_slice_of_overlapping_ones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="missing_slice"):
        read_ct(drop(write_series(tmp_path, stored_slices(COUNT), 2.5 * np.arange(COUNT)), 4))


def test_even_gaps_between_slices_are_told(tmp_path: Path) -> None:
    volume = read_ct(write_series(tmp_path, stored_slices(COUNT), SliceThickness=3))
    assert volume.notes == ("2.00 mm between slices not imaged",)


def test_exact_copies_are_removed(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    save(ct_dataset(values[4], 20.0, 5), write_series(tmp_path, values) / "copy" / "again.dcm")
    volume = read_ct(tmp_path)
    np.testing.assert_array_equal(volume.hu, values)
    assert volume.notes == ("1 exact copies of slices removed",)


def test_two_images_at_one_place_are_refused(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    save(ct_dataset(values[4] + 1, 20.0, 5), write_series(tmp_path, values) / "again.dcm")
    with pytest.raises(RefusedError, match="two_images_one_position"):
        read_ct(tmp_path)


def test_a_slice_beside_the_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="crooked_stack"):
        read_ct(write_series(tmp_path, stored_slices(COUNT), change=only(4, ImagePositionPatient=[9, 0, 20])))


def test_sagittal_slices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="not_axial"):
        read_ct(write_series(tmp_path, stored_slices(COUNT), ImageOrientationPatient=[0, 1, 0, 0, 0, -1]))


def test_each_slice_has_its_own_scale(tmp_path: Path) -> None:
    values = stored_slices(COUNT) // 4
    volume = read_ct(
        write_series(tmp_path, values, change=lambda image, i: spoil(image, RescaleSlope=1 + i / 8, RescaleIntercept=i))
    )
    scale = np.arange(COUNT).reshape(-1, 1, 1)
    np.testing.assert_allclose(volume.hu, np.maximum(values * (1 + scale / 8) + scale, -1024), rtol=1e-6)


def test_monochrome1_does_not_turn_values(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    volume = read_ct(write_series(tmp_path, values, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(volume.hu, values)


def test_unused_bits_and_sign_are_read_right(tmp_path: Path) -> None:
    # 12 stored bits of a signed image: 0xF800 -> 0x800 = -2048 -> air, 0x1005 -> 5 though bit 12 is set
    values = np.full((COUNT, 6, 8), 0x1005, dtype=np.int16)
    values[:, 0, 0] = 0x0FFF
    volume = read_ct(write_series(tmp_path, values, BitsStored=12, HighBit=11))
    assert np.unique(volume.hu).tolist() == [-1, 5]


def test_unsigned_values_are_read(tmp_path: Path) -> None:
    values = (stored_slices(COUNT) + 1024).astype(np.uint16)
    values[:, 0, 0] = 40000
    volume = read_ct(write_series(tmp_path, values, PixelRepresentation=0, RescaleIntercept=-1024))
    np.testing.assert_array_equal(volume.hu, values.astype(np.float32) - 1024)


def test_padding_becomes_air(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    values[:, 0], values[:, 1], values[:, 2] = 3000, 3050, 3100
    image = read_ct(write_series(tmp_path, values, PixelPaddingValue=3100, PixelPaddingRangeLimit=3050)).hu
    assert np.unique(image[:, 1:3]).tolist() == [-1024]
    assert np.unique(image[:, 0]).tolist() == [3000]


def test_padding_inside_tissue_is_refused(tmp_path: Path) -> None:
    values = stored_slices(COUNT)
    values[0, 0, 0] = 0
    with pytest.raises(RefusedError, match="ambiguous_padding"):
        read_ct(write_series(tmp_path, values, PixelPaddingValue=0))


def test_enhanced_object_is_read_frame_by_frame(tmp_path: Path) -> None:
    values, z = stored_slices(COUNT), 5.0 * np.arange(COUNT)[::-1]
    file = save(enhanced_dataset(values, z), tmp_path / "enhanced.dcm")
    volume = read_ct(file)
    expected = np.maximum(values - np.arange(COUNT).reshape(-1, 1, 1), -1024)[::-1]
    np.testing.assert_array_equal(volume.hu, expected)
    np.testing.assert_allclose(volume.affine[:3, :3], np.diag([-SPACING_MM[1], -SPACING_MM[0], 5]), atol=1e-12)


def test_enhanced_object_without_groups_for_each_frame_is_refused(tmp_path: Path) -> None:
    image = enhanced_dataset(stored_slices(COUNT), 5.0 * np.arange(COUNT))
    del image.PerFrameFunctionalGroupsSequence[3]
    with pytest.raises(RefusedError, match="bad_tag: .*functional groups of 12 frames, got 11"):
        read_ct(save(image, tmp_path / "enhanced.dcm"))


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


def test_single_slice_is_read_with_its_thickness(tmp_path: Path) -> None:
    volume = read_ct(save(ct_dataset(stored_slices(1)[0], 3.0, 1, SliceThickness=2.5), tmp_path / "one.dcm"))
    assert volume.hu.shape == (1, 6, 8)
    assert volume.affine[2, 2] == 2.5


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


def test_real_head_is_read_in_order_with_its_tilt_and_slabs(real_scans: Path) -> None:
    volume = read_ct(real_scans / "head_ct_ge")
    sources = [pydicom.dcmread(file) for file in (real_scans / "head_ct_ge").glob("*.dcm")]
    sources.sort(key=lambda source: float(source.ImagePositionPatient[2]))
    stored = np.stack([source.pixel_array for source in sources]).astype(np.float32)
    assert (stored == -1500).any()
    np.testing.assert_array_equal(volume.hu, np.where(stored == -1500, -1024, stored))
    row, column = np.array(sources[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    expected = [np.array(source.ImagePositionPatient, dtype=float) @ np.cross(row, column) for source in sources]
    np.testing.assert_allclose(volume.slice_positions_mm, expected)
    steps = np.diff(volume.slice_positions_mm).round(2)
    assert [steps[0], steps[13], steps[14]] == [4.0, 1.08, 7.0]
    assert "gantry tilted by 18.5 degrees" in volume.notes
