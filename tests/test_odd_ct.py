"""Heads stored in odd but legitimate ways give the same voxels at the same places."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ct_files import ct_dataset, enhanced_dataset, save, spoil
from head_files import THICKNESS_MM, check, head_values, heights_mm, pixel_mm, write_head_series
from pydicom.dataset import FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from custom_transforms.fit_study import FitStudy

Write = Callable[[Path], object]
SCOUT = {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> FitStudy:
    """The head stored as usual; patient's right, front and feet are low indices, as the DICOM tags say by hand."""
    study = check(write_head_series(tmp_path_factory.mktemp("plain")))
    np.testing.assert_array_equal(study.data, head_values().transpose(2, 1, 0)[::-1, ::-1])
    step, last = pixel_mm(), pixel_mm() * 191
    np.testing.assert_allclose(study.affine, [[step, 0, 0, -last], [0, step, 0, -last], [0, 0, 5, 0], [0, 0, 0, 1]])
    assert (study.warnings, study.notes) == ((), ())
    return study


def set_all(**tags: object) -> Write:
    return lambda folder: write_head_series(folder, **tags)


def set_each(tags_of: Callable[[int], dict[str, object]], **shared: object) -> Write:
    return lambda folder: write_head_series(
        folder, change=lambda image, index: spoil(image, **tags_of(index)), **shared
    )


def store(as_stored: Callable[[FileDataset, int], None]) -> Write:
    return lambda folder: write_head_series(folder, change=as_stored)


def unsigned(image: FileDataset, index: int) -> None:
    image.PixelData = (head_values()[index] + 1024).astype("<u2").tobytes()
    image.PixelRepresentation, image.RescaleIntercept = 0, -1024


def twelve_bits_under_overlays(image: FileDataset, index: int) -> None:
    bits = np.random.default_rng(index).integers(0, 16, head_values()[index].shape) << 12
    stored = (np.minimum(head_values()[index], 3071) + 1024) | bits
    image.PixelData, image.PixelRepresentation = stored.astype("<u2").tobytes(), 0
    image.BitsStored, image.HighBit, image.RescaleIntercept = 12, 11, -1024


def halves_in_every_second_slice(image: FileDataset, index: int) -> None:
    if index % 2:
        image.PixelData, image.RescaleSlope = (head_values()[index] * 2).tobytes(), 0.5


def padded(image: FileDataset, index: int) -> None:
    values = head_values()[index].copy()
    values[values == -1024] = -2000
    image.PixelData = values.tobytes()
    image.add_new("PixelPaddingValue", "SS", -2000)


def big_endian(folder: Path) -> None:
    def turn(image: FileDataset, index: int) -> None:
        image.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        image.PixelData = head_values()[index].astype(">i2").tobytes()

    write_head_series(folder, change=turn)


def set_syntax(syntax: str) -> Write:
    def change(image: FileDataset, index: int) -> None:
        if syntax == RLELossless:
            image.compress(RLELossless, encoding_plugin="pydicom")
        image.file_meta.TransferSyntaxUID = syntax

    return lambda folder: write_head_series(folder, change=change)


def with_scout(folder: Path) -> None:
    save(ct_dataset(head_values()[0], 0.0, 99, **SCOUT), write_head_series(folder) / "zz" / "scout")


def with_copies(folder: Path) -> None:
    files = sorted(write_head_series(folder).glob("*.dcm"))
    for number in (0, 1, 9):
        (folder / "again").mkdir(exist_ok=True)
        shutil.copy(files[number], folder / "again" / f"copy of {files[number].name}")


def with_odd_names(folder: Path) -> None:
    for number, file in enumerate(sorted(write_head_series(folder / "x" / "ü ß (2)" / "b").glob("*.dcm"))):
        file.rename(folder / "x" / f"{'äöü #%;'[number % 7]} {number}{' ' * (number % 3)}")


def deep(folder: Path) -> None:
    write_head_series(folder.joinpath(*["deep"] * 40))


def with_link_inside(folder: Path) -> None:
    file = next(write_head_series(folder).glob("*.dcm"))
    (folder / "link.dcm").symlink_to(file.name)


def enhanced(folder: Path) -> None:
    order = np.random.default_rng(88).permutation(len(head_values()))
    image = enhanced_dataset(head_values()[order], heights_mm()[order])
    measures = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing, measures.SliceThickness = [pixel_mm()] * 2, THICKNESS_MM
    for frame in image.PerFrameFunctionalGroupsSequence:
        frame.PixelValueTransformationSequence[0].RescaleIntercept = 0
    save(image, folder / "enhanced.dcm")


ODD: dict[str, tuple[Write, str]] = {
    "numbers shuffled": (set_each(lambda index: {"InstanceNumber": (7 * index) % 27}), ""),
    "numbers constant": (set_all(InstanceNumber=1), ""),
    "numbers absent": (set_all(InstanceNumber=None), ""),
    "numbers fall": (set_each(lambda index: {"InstanceNumber": 27 - index}), ""),
    "unsigned": (store(unsigned), ""),
    "12 of 16 bits": (store(twelve_bits_under_overlays), ""),
    "slopes differ": (store(halves_in_every_second_slice), ""),
    "MONOCHROME1": (set_all(PhotometricInterpretation="MONOCHROME1"), ""),
    "padding": (store(padded), ""),
    "implicit": (set_syntax(ImplicitVRLittleEndian), ""),
    "big endian": (big_endian, ""),
    "deflated": (set_syntax(DeflatedExplicitVRLittleEndian), ""),
    "RLE": (set_syntax(RLELossless), ""),
    "localizer": (with_scout, "left out: 1 localizers"),
    "copies": (with_copies, "3 exact copies of slices removed"),
    "odd names": (with_odd_names, ""),
    "deep": (deep, ""),
    "link inside": (with_link_inside, ""),
    "enhanced": (enhanced, ""),
    "no frame of reference": (set_all(FrameOfReferenceUID=None, ConvolutionKernel=None, RescaleType=None), ""),
    "no thickness": (set_all(SliceThickness=None), ""),
}


@pytest.mark.parametrize("name", ODD)
def test_oddly_stored_head_is_read_right(tmp_path: Path, plain: FitStudy, name: str) -> None:
    write, note = ODD[name]
    write(tmp_path)
    study = check(tmp_path)
    np.testing.assert_array_equal(study.data, plain.data)
    np.testing.assert_allclose(study.affine, plain.affine, atol=1e-3)
    assert study.notes == ((note,) if note else ())
    assert study.warnings == ()


def test_zip_of_a_folder_is_read_right(tmp_path: Path, plain: FitStudy) -> None:
    folder = write_head_series(tmp_path / "study")
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, f"export/ct/{file.name}")
    np.testing.assert_array_equal(check(tmp_path / "study.zip").data, plain.data)


def turned(folder: Path, rows: list[float], columns: list[float]) -> Path:
    """Write the same stored slices as of a patient who lies otherwise: directions of rows and columns, LPS."""
    normal = np.cross(rows, columns)
    place = partial(np.multiply, normal if normal[2] >= 0 else -normal)
    return write_head_series(
        folder,
        change=lambda image, index: spoil(image, ImagePositionPatient=[float(x) for x in place(5.0 * index)]),
        ImageOrientationPatient=[*rows, *columns],
    )


@pytest.mark.parametrize(
    ("rows", "columns", "flips"),
    [
        ([-1, 0, 0], [0, -1, 0], np.s_[:, ::-1, ::-1]),  # prone, and face down: both axes turn
        ([-1, 0, 0], [0, 1, 0], np.s_[:, :, ::-1]),  # feet first: left and right change sides
    ],
    ids=["prone", "feet first"],
)
def test_patient_who_lies_otherwise_is_read_by_the_tags(
    tmp_path: Path, plain: FitStudy, rows: list[float], columns: list[float], flips: tuple[slice, ...]
) -> None:
    study = check(turned(tmp_path, rows, columns))
    _, turn_rows, turn_columns = flips
    np.testing.assert_array_equal(study.data, plain.data[turn_columns, turn_rows])
    np.testing.assert_allclose(np.abs(np.diag(study.affine)), np.diag(plain.affine))


def test_decubitus_and_oblique_are_placed_by_the_tags(tmp_path: Path) -> None:
    on_side = check(turned(tmp_path / "side", [0, 1, 0], [-1, 0, 0]))
    np.testing.assert_array_equal(on_side.data, head_values().transpose(1, 2, 0)[:, ::-1])
    turn = np.radians(25)
    oblique = check(turned(tmp_path / "oblique", [1, 0, 0], [0, float(np.cos(turn)), float(np.sin(turn))]))
    np.testing.assert_allclose(oblique.affine[:3, 2], [0, 5 * np.sin(turn), 5 * np.cos(turn)], atol=1e-6)


def test_tilted_gantry_and_two_slabs_are_told(tmp_path: Path) -> None:
    tilt = np.radians(20)
    tilted = write_head_series(
        tmp_path / "tilt", ImageOrientationPatient=[1, 0, 0, 0, float(np.cos(tilt)), float(-np.sin(tilt))]
    )
    assert "gantry tilted by 20.0 degrees" in check(tilted).notes
    thickness = np.where(np.arange(27) < 9, 4.0, 7.0)
    z_mm = np.cumsum(thickness) - thickness / 2
    slabs = check(
        write_head_series(
            tmp_path / "slabs",
            z_mm=z_mm,
            change=lambda image, index: spoil(image, SliceThickness=float(thickness[index])),
        )
    )
    assert any("slice steps from 4.00 to 7.00 mm" in note for note in slabs.notes)


def test_nifti_in_any_orientation_is_read_right(tmp_path: Path, plain: FitStudy) -> None:
    image = nib.Nifti1Image(plain.data.astype(np.int16), plain.affine)
    for axes in ("LPS", "RAI", "PIR"):
        turn = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(axes))
        nib.save(image.as_reoriented(turn), tmp_path / f"{axes}.nii.gz")
        study = check(tmp_path / f"{axes}.nii.gz")
        np.testing.assert_array_equal(study.data, plain.data)
        np.testing.assert_allclose(study.affine, plain.affine, atol=1e-3)
