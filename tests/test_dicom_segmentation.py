"""A label map becomes a DICOM segmentation on the very slices it belongs to, whatever orientation, tilt and spacing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
from ct_files import enhanced_dataset, save, stored_slices
from dicom_series import COUNT, ORIENTATIONS, SHAPE, positions_mm, write_oriented
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from custom_transforms.ct_study import read_ct
from custom_transforms.dicom.coded_terms import NECROSIS, OEDEMA
from custom_transforms.dicom.find_slices import find_slices, find_slices_isolated, slices_of_series
from custom_transforms.dicom.place_mask import check_first_voxel
from custom_transforms.dicom.result_instance import Algorithm
from custom_transforms.dicom.segmentation import SUSPICIOUS_REGION, Segment, make_segmentation
from custom_transforms.dicom.source_slices import SourceSlices
from custom_transforms.refusal import RefusedError
from data_lists.phantom_ct import make_head
from data_lists.phantom_dicom import write_series

hd = pytest.importorskip("highdicom")

ALGORITHM = Algorithm("classifier", "1.0")
PARTS = [Segment("core", NECROSIS), Segment("oedema", OEDEMA)]


def random_labels(count: int = COUNT, *, highest: int = 2) -> NDArray[np.uint8]:
    """Labels without any symmetry; the second slice is empty."""
    labels = np.random.default_rng(88).integers(0, highest + 1, (count, *SHAPE)).astype(np.uint8)
    labels[1] = 0
    return labels


def write(labels: NDArray[np.uint8], slices: SourceSlices, file: Path, parts: list[Segment] = PARTS) -> Dataset:
    dcmwrite(file, make_segmentation(labels, slices, parts, algorithm=ALGORITHM))
    return dcmread(file)


def slices_of(folder: Path, images: list[Dataset]) -> SourceSlices:
    return find_slices(str(folder), [image.SOPInstanceUID for image in images], [1] * len(images))


def points(found: NDArray[Any]) -> set[tuple[float, ...]]:
    return {tuple(point) for point in np.round(found, 3) + 0.0}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_each_marked_pixel_lies_where_its_label_lies(orientation: str, tmp_path: Path) -> None:
    images, labels = write_oriented(tmp_path / "ct", orientation), random_labels()
    read = write(labels, slices_of(tmp_path / "ct", images), tmp_path / "seg.dcm")
    shared = read.SharedFunctionalGroupsSequence[0]
    found: dict[int, list[NDArray[Any]]] = {1: [], 2: []}
    for frame, groups in zip(read.pixel_array, read.PerFrameFunctionalGroupsSequence, strict=True):
        plane = Dataset()  # what the frame says of itself
        plane.ImagePositionPatient = groups.PlanePositionSequence[0].ImagePositionPatient
        plane.ImageOrientationPatient = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        plane.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[number].append(positions_mm(plane)[frame > 0])
    for number in (1, 2):
        wanted = [positions_mm(image)[labels[index] == number] for index, image in enumerate(images)]
        assert points(np.concatenate(found[number])) == points(np.concatenate(wanted))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_highdicom_gives_the_labels_back_slice_by_slice(orientation: str, tmp_path: Path) -> None:
    images, labels = write_oriented(tmp_path / "ct", orientation), random_labels()
    write(labels, slices_of(tmp_path / "ct", images), tmp_path / "seg.dcm")
    uids = [image.SOPInstanceUID for image in images]
    read = hd.seg.segread(tmp_path / "seg.dcm").get_pixels_by_source_instance(uids, combine_segments=True)
    np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_itk_finds_the_region_where_it_lies(orientation: str, tmp_path: Path) -> None:
    images, labels = write_oriented(tmp_path / "ct", orientation), random_labels(highest=1)
    read = write(labels, slices_of(tmp_path / "ct", images), tmp_path / "seg.dcm", [SUSPICIOUS_REGION])
    volume = itk.imread(tmp_path / "seg.dcm")
    voxels = itk.array_from_image(volume) > 0
    if orientation == "tilted":  # ITK's images have no shear: frame by frame it agrees
        heights = [groups.PlanePositionSequence[0].ImagePositionPatient[2] for groups in read[0x52009230]]
        np.testing.assert_array_equal(voxels[np.argsort(heights)], labels > 0)
        return
    found = [volume.TransformIndexToPhysicalPoint(index[::-1].tolist()) for index in np.argwhere(voxels)]
    wanted = [positions_mm(image)[labels[index] > 0] for index, image in enumerate(images)]
    assert points(np.array(found)) == points(np.concatenate(wanted))


def test_frames_name_their_slices_and_every_slice_has_one_frame_a_segment(tmp_path: Path) -> None:
    images = write_oriented(tmp_path / "ct", "tilted")
    read = write(random_labels(), slices_of(tmp_path / "ct", images), tmp_path / "seg.dcm")
    named = [
        (
            groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID,
            groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber,
        )
        for groups in read.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(named) == sorted((image.SOPInstanceUID, number) for image in images for number in (1, 2))
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "PatientBirthDate"):
        assert read[keyword].value == images[0][keyword].value
    assert read.ReferencedSeriesSequence[0].SeriesInstanceUID == images[0].SeriesInstanceUID
    kinds = [segment.SegmentedPropertyTypeCodeSequence[0].CodeValue for segment in read.SegmentSequence]
    assert kinds == ["6574001", "79654002"]
    assert len({segment.TrackingUID for segment in read.SegmentSequence}) == 2


def test_empty_mask_is_a_segmentation_of_nothing_on_all_slices(tmp_path: Path) -> None:
    images = write_oriented(tmp_path / "ct", "axial")
    empty = np.zeros((COUNT, *SHAPE), np.uint8)
    read = write(empty, slices_of(tmp_path / "ct", images), tmp_path / "seg.dcm", [SUSPICIOUS_REGION])
    assert read.pixel_array.shape == empty.shape
    assert not read.pixel_array.any()


def test_frames_of_an_enhanced_object_are_named_by_their_numbers_in_it(tmp_path: Path) -> None:
    heights_mm = np.array([5.0, 15, 0, 10])  # frames are not in order
    image = enhanced_dataset(stored_slices(4), heights_mm)
    file = save(image, tmp_path / "enhanced.dcm")
    scan = read_ct(file)
    assert scan.frame_numbers == (3, 1, 4, 2)
    labels = random_labels(3)
    part = find_slices_isolated(file, scan.instance_uids[1:], scan.frame_numbers[1:])  # a volume without frame 3
    read = write(labels, part, tmp_path / "seg.dcm")
    for frame, groups in zip(read.pixel_array, read.PerFrameFunctionalGroupsSequence, strict=True):
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
        number, label = source.ReferencedFrameNumber, groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert groups.PlanePositionSequence[0].ImagePositionPatient[2] == heights_mm[number - 1]
        np.testing.assert_array_equal(frame, labels[scan.frame_numbers[1:].index(number)] == label)


def test_two_slabs_keep_their_positions_and_their_thickness(tmp_path: Path) -> None:
    write_series(make_head(2, matrix=64), tmp_path, name="TEST-0002")  # tilted, slices 4 and 7 mm thick
    scan = read_ct(tmp_path)
    images = {image.SOPInstanceUID: image for image in map(dcmread, tmp_path.glob("IM*"))}
    slices = find_slices_isolated(tmp_path, scan.instance_uids, scan.frame_numbers)
    labels = np.zeros(scan.hu.shape, np.uint8)
    labels[3, 5, 40] = labels[8, 60, 7] = 1
    read = write(labels, slices, tmp_path / "seg.dcm", [SUSPICIOUS_REGION])
    thick = set()
    for frame, groups in zip(read.pixel_array, read.PerFrameFunctionalGroupsSequence, strict=True):
        uid = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        np.testing.assert_array_equal(frame, labels[scan.instance_uids.index(uid)])
        assert groups.PlanePositionSequence[0].ImagePositionPatient == images[uid].ImagePositionPatient
        assert groups.PixelMeasuresSequence[0].SliceThickness == images[uid].SliceThickness
        thick.add(float(images[uid].SliceThickness))
    assert len(thick) == 2
    again = hd.seg.segread(tmp_path / "seg.dcm").get_pixels_by_source_instance(list(scan.instance_uids))
    np.testing.assert_array_equal(again[..., 0], labels)


def test_names_of_patients_are_copied_in_any_alphabet_and_shown_nowhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    tags = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müßtermann", "PatientBirthDate": "19500230"}
    images = write_oriented(tmp_path / "ct", "axial", **tags)
    read = write(random_labels(), slices_of(tmp_path / "ct", images), tmp_path / "seg.dcm")
    assert str(read.PatientName) == "Müßtermann"
    assert read.PatientBirthDate == ""  # there is no such day
    shown = [*map(str, (warning.message for warning in recwarn)), *capfd.readouterr()]
    assert not [text for text in shown if "ermann" in text]


def test_lossy_source_makes_a_lossy_segmentation_though_it_does_not_say_by_how_much(tmp_path: Path) -> None:
    images = write_oriented(tmp_path / "ct", "axial", LossyImageCompression="01")
    assert (
        write(random_labels(), slices_of(tmp_path / "ct", images), tmp_path / "seg.dcm").LossyImageCompression == "01"
    )


def test_slices_that_are_no_longer_there_are_refused(tmp_path: Path) -> None:
    images = write_oriented(tmp_path, "axial")
    next(tmp_path.glob("*.dcm")).unlink()
    with pytest.raises(RefusedError, match=r"changed_study: \.: expected the slices that were read, got others"):
        find_slices_isolated(tmp_path, [image.SOPInstanceUID for image in images], [1] * COUNT)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_series_that_cannot_be_referred_to_is_refused(keyword: str, tmp_path: Path) -> None:
    images = write_oriented(tmp_path, "axial", **{keyword: None})
    with pytest.raises(RefusedError, match=f"missing_tag: .*: expected {keyword}, got none"):
        slices_of(tmp_path, images)


def test_labels_of_another_shape_are_refused(tmp_path: Path) -> None:
    slices = slices_of(tmp_path, write_oriented(tmp_path, "axial"))
    with pytest.raises(RefusedError, match="grid_mismatch: mask: expected .* as the series"):
        make_segmentation(random_labels(COUNT - 1), slices, PARTS, algorithm=ALGORITHM)


def test_series_of_a_store_has_the_order_of_the_reader(tmp_path: Path) -> None:
    images = write_oriented(tmp_path, "tilted")
    for image in images:
        del image.PixelData
    stored = [Dataset.from_json(image.to_json()) for image in images[::-1]]
    scan, slices = read_ct(tmp_path), slices_of_series(stored, "series")
    assert tuple(slices.uids) == scan.instance_uids
    check_first_voxel(scan.affine, slices)
    scan.affine[2, 3] += 3
    with pytest.raises(RefusedError, match=r"grid_mismatch: mask: expected .*, got one 3\.0 mm from it"):
        check_first_voxel(scan.affine, slices)


def test_two_series_in_a_folder_are_refused(tmp_path: Path) -> None:
    write_oriented(tmp_path / "1", "axial")
    write_oriented(tmp_path / "2", "coronal", SeriesInstanceUID="1.2.3")
    with pytest.raises(RefusedError, match=r"several_series: \.: expected images of one series, got 2 series"):
        find_slices(str(tmp_path))
