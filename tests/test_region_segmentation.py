"""A region becomes a DICOM segmentation on the slices it was found in, whatever the gantry and the spacing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from custom_transforms.dicom.region_segmentation import from_feet_to_head, region_segmentation
from custom_transforms.dicom.study import read_dicom
from custom_transforms.refusal import RefusedError
from data_lists.phantom_ct import make_head
from data_lists.phantom_dicom import write_series

pytest.importorskip("highdicom")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tilted head in slices 4 to 7 mm apart, in files whose names have no order."""
    made = tmp_path_factory.mktemp("head")
    write_series(make_head(2, matrix=64), made, name="TEST-0002")
    return made


def images_in(folder: Path) -> list[Dataset]:
    return [dcmread(path) for path in sorted(folder.iterdir())]


def origin_of(images: list[Dataset]) -> np.ndarray:
    return np.array(from_feet_to_head(images)[0].ImagePositionPatient, float) * (-1, -1, 1)


def make(region: np.ndarray, images: list[Dataset]) -> Dataset:
    return region_segmentation(region, origin_of(images), images, bundle="classifier", version="1.0")


def test_frames_lie_where_their_slices_lie_and_hold_the_voxels_of_the_region(folder: Path, tmp_path: Path) -> None:
    images = images_in(folder)
    region = np.zeros((len(images), 64, 64), np.uint8)
    region[3, 5, 40] = region[8, 60, 7] = 1  # one voxel each, asymmetric
    dcmwrite(tmp_path / "seg.dcm", make(region, images))
    read = dcmread(tmp_path / "seg.dcm")
    slices = from_feet_to_head(images)
    assert read.pixel_array.shape == (2, 64, 64)
    numbers = {image.SOPInstanceUID: number for number, image in enumerate(slices)}
    for frame, groups in zip(read.pixel_array, read.PerFrameFunctionalGroupsSequence, strict=True):
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        number = numbers.pop(source.ReferencedSOPInstanceUID)
        assert groups.PlanePositionSequence[0].ImagePositionPatient == slices[number].ImagePositionPatient
        np.testing.assert_array_equal(frame, region[number])
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert read[keyword].value == images[0][keyword].value
    assert read.ReferencedSeriesSequence[0].SeriesInstanceUID == images[0].SeriesInstanceUID


def test_slices_have_the_order_of_the_reader(folder: Path) -> None:
    _, geometry, uids, _ = read_dicom(folder)
    images = images_in(folder)
    assert uids == [image.SOPInstanceUID for image in from_feet_to_head(images)]
    np.testing.assert_allclose(geometry.affine[:3, 3], origin_of(images), atol=1e-3)


def test_empty_region_is_a_segmentation_of_nothing_on_all_slices(folder: Path) -> None:
    images = images_in(folder)
    empty = make(np.zeros((len(images), 64, 64), np.uint8), images)
    assert empty.pixel_array.shape[0] == len(images)
    assert not empty.pixel_array.any()


def test_name_of_a_patient_is_not_shown(folder: Path, recwarn: pytest.WarningsRecorder) -> None:
    images = images_in(folder)
    for image in images:
        image.PatientName = "Mustermann"  # one component, of which highdicom warns
    make(np.ones((len(images), 64, 64), np.uint8), images)
    assert not [warning for warning in recwarn if "Mustermann" in str(warning.message)]


def test_region_of_another_grid_is_refused(folder: Path) -> None:
    images = images_in(folder)
    with pytest.raises(RefusedError, match="grid_mismatch: region: expected .* as the series"):
        make(np.zeros((len(images) - 1, 64, 64), np.uint8), images)
    region = np.zeros((len(images), 64, 64), np.uint8)
    with pytest.raises(RefusedError, match=r"got one 3\.0 mm from it"):
        region_segmentation(region, origin_of(images) + np.array([0, 0, 3]), images, bundle="classifier", version="1.0")
