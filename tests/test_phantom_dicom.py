"""Phantom heads as DICOM: the geometry and the Hounsfield units that other readers find in the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import itk
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from data_lists.phantom_ct import PhantomHead, make_head
from data_lists.phantom_dicom import write_series


def made(folder: Path, **settings: object) -> tuple[PhantomHead, list[FileDataset], list[FileDataset]]:
    """A head written with some of its scanner's settings changed; its slices by position; its localizers."""
    head = make_head(2, matrix=32)
    scanner = replace(head.scanner, **settings)  # type: ignore[arg-type]
    head = replace(head, scanner=scanner, hu=np.maximum(head.hu, -1024))
    folder.mkdir()
    write_series(head, folder, name="PHANTOM-0002")
    files = [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    axial = [file for file in files if "AXIAL" in file.ImageType]
    axial.sort(key=lambda file: float(file.ImagePositionPatient[2]))
    return head, axial, [file for file in files if "LOCALIZER" in file.ImageType]


def tilted_head(tilt: bool) -> PhantomHead:
    return next(
        head for index in range(20) if ((head := make_head(index, matrix=32)).scanner.tilt_degrees != 0) == tilt
    )


def read_back(files: list[FileDataset]) -> NDArray[np.float64]:
    return np.stack([file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept) for file in files])


@pytest.mark.parametrize("intercept", [0, -1024])
@pytest.mark.parametrize("padding", [None, -2000])
def test_hounsfield_units_come_back(tmp_path: Path, intercept: int, padding: int | None) -> None:
    head, files, _ = made(tmp_path / "head", intercept=intercept, padding=padding)

    np.testing.assert_array_equal(read_back(files), head.hu)
    assert {file.get("PixelPaddingValue") for file in files} == {padding}
    assert {file.PixelRepresentation for file in files} == {0 if (intercept, padding) == (-1024, None) else 1}


@pytest.mark.parametrize("tilt", [True, False])
def test_positions_agree_with_affine_and_normal(tmp_path: Path, tilt: bool) -> None:
    head = tilted_head(tilt)
    write_series(head, tmp_path, name="PHANTOM-0001")
    files = [pydicom.dcmread(path) for path in tmp_path.glob("*.dcm")]
    files = sorted((file for file in files if "AXIAL" in file.ImageType), key=lambda file: file.ImagePositionPatient[2])

    across, down = np.reshape(np.array(files[0].ImageOrientationPatient, dtype=float), (2, 3))
    along = [np.array(file.ImagePositionPatient, dtype=float) @ np.cross(across, down) for file in files]
    origin, spacing = np.array(files[0].ImagePositionPatient, dtype=float), float(files[0].PixelSpacing[0])
    to_ras = np.diag([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(np.diff(along), np.diff(head.slice_positions_mm), atol=1e-3)
    np.testing.assert_allclose(to_ras @ origin, head.affine[:3, 3], atol=1e-5)
    np.testing.assert_allclose(to_ras @ across * spacing, head.affine[:3, 0], atol=1e-5)
    np.testing.assert_allclose(to_ras @ down * spacing, head.affine[:3, 1], atol=1e-5)
    step = np.median(np.diff([float(file.ImagePositionPatient[2]) for file in files]))
    np.testing.assert_allclose(head.affine[:3, 2], [0, 0, step], atol=1e-5)
    assert np.rad2deg(np.arcsin(-down[2])) == pytest.approx(float(files[0].GantryDetectorTilt), abs=1e-3)
    assert (abs(down[2]) > 0.01) == tilt


def test_itk_finds_the_same_geometry_of_an_untilted_series(tmp_path: Path) -> None:
    head = next(
        head
        for index in range(40)
        if (head := make_head(index, matrix=32)).scanner.tilt_degrees == 0
        and np.ptp(np.diff(head.scanner.slice_z_mm)) < 0.01
    )
    head = replace(head, scanner=replace(head.scanner, localizer=False))
    write_series(head, tmp_path, name="PHANTOM-0001")
    names = itk.GDCMSeriesFileNames.New()
    names.SetDirectory(str(tmp_path))
    (series,) = names.GetSeriesUIDs()
    image = itk.imread(list(names.GetFileNames(series)), itk.SS)

    np.testing.assert_array_equal(itk.array_from_image(image), head.hu)
    to_ras = np.diag([-1.0, -1.0, 1.0])
    columns = itk.array_from_matrix(image.GetDirection()) @ np.diag(list(image.GetSpacing()))
    np.testing.assert_allclose(to_ras @ columns, head.affine[:3, :3], atol=1e-4)
    np.testing.assert_allclose(to_ras @ np.array(image.GetOrigin()), head.affine[:3, 3], atol=1e-4)


def test_identifiers_are_unique_and_the_same_again(tmp_path: Path) -> None:
    _, first, _ = made(tmp_path / "first")
    _, second, _ = made(tmp_path / "second")

    assert len({file.SOPInstanceUID for file in first}) == len(first)
    assert len({(file.StudyInstanceUID, file.SeriesInstanceUID, file.FrameOfReferenceUID) for file in first}) == 1
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
    assert [file.SOPInstanceUID for file in first] == [file.SOPInstanceUID for file in second]


def test_localizer_is_another_series_of_the_same_study(tmp_path: Path) -> None:
    _, axial, localizers = made(tmp_path / "head", localizer=True)

    (localizer,) = localizers
    assert localizer.StudyInstanceUID == axial[0].StudyInstanceUID
    assert localizer.SeriesInstanceUID != axial[0].SeriesInstanceUID
    assert localizer.SeriesNumber != axial[0].SeriesNumber
    assert [float(part) for part in localizer.ImageOrientationPatient] == [0, 1, 0, 0, 0, -1]
    assert localizer.pixel_array.shape == (localizer.Rows, localizer.Columns)


@pytest.mark.parametrize("head_first", [True, False])
def test_instance_numbers_run_either_way(tmp_path: Path, head_first: bool) -> None:
    _, axial, _ = made(tmp_path / "head", head_first=head_first)

    numbers = list(range(1, len(axial) + 1))
    assert [file.InstanceNumber for file in axial] == (numbers[::-1] if head_first else numbers)


def test_mixed_file_names_tell_no_order(tmp_path: Path) -> None:
    _, axial, _ = made(tmp_path / "head", mixed_names=True)

    names = [str(file.filename) for file in axial]
    assert names not in (sorted(names), sorted(names, reverse=True))


def test_no_person_and_no_date_is_in_the_files(tmp_path: Path) -> None:
    _, axial, _ = made(tmp_path / "head")

    assert {(file.PatientID, str(file.PatientName)) for file in axial} == {("PHANTOM-0002", "Test^0002")}
    assert {element.value for file in axial for element in file if element.VR in ("DA", "TM", "DT")} == {""}
    assert {file.Modality for file in axial} == {"CT"}
