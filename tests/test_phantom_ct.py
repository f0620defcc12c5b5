"""Phantom heads: the same from the same seed, anatomical, hard for the largest bright blob."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from data_lists.phantom_ct import PhantomHead, is_positive, make_head
from data_lists.phantom_ct_layout import write_head

COMMAND = Path(__file__).parents[1] / "scripts" / "make_phantom.py"


@pytest.fixture(scope="module")
def heads() -> list[PhantomHead]:
    return [make_head(index, matrix=64) for index in range(1, 25)]


@pytest.fixture(scope="module")
def head() -> PhantomHead:
    return make_head(2, matrix=64)


def largest_bright_blob_ml(head: PhantomHead, *, above_hu: float) -> float:
    """The baseline to defeat: smooth, look 4 mm inside the brain, take the largest connected bright piece."""
    pixel = head.scanner.pixel_mm
    brain = np.stack([ndimage.distance_transform_edt(mask) * pixel > 4 for mask in head.brain])
    smooth = ndimage.gaussian_filter(
        np.where(head.brain, head.hu, 30).astype(np.float32), (0, 1.5 / pixel, 1.5 / pixel)
    )
    labels, count = ndimage.label((smooth > above_hu) & brain)
    return float(np.bincount(labels.ravel())[1:].max() * pixel**2) if count else 0.0


def area_under_curve(labels: list[bool], scores: list[float]) -> float:
    """Share of pairs of a positive and a negative head whose scores are in the right order; ties count half."""
    sick = np.array([score for score, label in zip(scores, labels, strict=True) if label])
    well = np.array([score for score, label in zip(scores, labels, strict=True) if not label])
    return float(np.mean(np.sign(sick[:, None] - well) / 2 + 0.5))


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(COMMAND), "ct", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def mean_hu(head: PhantomHead, where: NDArray[np.bool_]) -> float:
    return float(head.hu[where].mean())


def test_same_seed_and_index_give_the_same_head(head: PhantomHead) -> None:
    again = make_head(2, matrix=64)

    np.testing.assert_array_equal(again.hu, head.hu)
    np.testing.assert_array_equal(again.brain, head.brain)
    np.testing.assert_array_equal(again.slice_positions_mm, head.slice_positions_mm)


@pytest.mark.parametrize(("index", "seed"), [(3, 88), (2, 89)])
def test_another_index_or_seed_is_another_head(head: PhantomHead, index: int, seed: int) -> None:
    other = make_head(index, matrix=64, seed=seed)

    assert other.hu.shape != head.hu.shape or (other.hu != head.hu).any()


@pytest.mark.parametrize(
    ("settings", "message"), [({"index": -1}, "index -1"), ({"seed": -1}, "seed -1"), ({"matrix": 16}, "got 16")]
)
def test_wrong_numbers_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_head(**{"index": 1, **settings})


def test_half_of_every_four_heads_are_positive_in_no_plain_order() -> None:
    labels = [is_positive(index, seed=88) for index in range(1, 41)]

    assert [sum(labels[start : start + 4]) for start in range(0, 40, 4)] == [2] * 10
    assert len({tuple(labels[start : start + 4]) for start in range(0, 40, 4)}) > 2


def test_arrays_have_the_promised_types_and_shapes(heads: list[PhantomHead]) -> None:
    for head in heads:
        assert (head.hu.dtype, head.brain.dtype, head.lesion.dtype) == (np.int16, bool, bool)
        assert head.hu.shape == head.brain.shape == head.lesion.shape == (head.slice_positions_mm.size, 64, 64)
        assert (np.diff(head.slice_positions_mm) > 0).all()


def test_tissues_have_their_hounsfield_units(heads: list[PhantomHead]) -> None:
    for head in heads:
        assert 25 < np.median(head.hu[head.brain]) < 42
        assert np.percentile(head.hu, 5) < -990
        assert head.hu.max() > 1000
        assert head.hu.min() >= (
            -1024 if head.scanner.padding is None else head.scanner.padding + head.scanner.intercept
        )


def test_brain_lies_in_a_closed_skull_above_the_orbits(heads: list[PhantomHead]) -> None:
    for head in heads:
        areas = head.brain.sum(axis=(1, 2))
        widest = int(areas.argmax())
        enclosed = ndimage.binary_fill_holes(head.hu[widest] > 250)
        assert (head.brain[widest] & ~enclosed).mean() < 0.001
        assert ndimage.binary_fill_holes(head.brain[widest]).sum() / (enclosed & (head.hu[widest] < 250)).sum() > 0.85


def test_ring_of_bone_is_open_in_some_slice_of_the_base(heads: list[PhantomHead]) -> None:
    opened = 0
    for head in heads:
        lost = [
            brain.any() and (brain & ~ndimage.binary_fill_holes(hu > 250)).sum() > 0.5 * brain.sum()
            for hu, brain in zip(head.hu, head.brain, strict=True)
        ]
        opened += any(lost)
    assert opened > len(heads) / 4


def test_metastases_lie_in_the_brain_of_positive_heads_only(heads: list[PhantomHead]) -> None:
    for number, head in enumerate(heads, 1):
        assert head.positive == is_positive(number, seed=88) == head.lesion.any()
        assert not (head.lesion & ~head.brain).any()


def test_label_can_be_chosen_and_changes_only_the_brain(head: PhantomHead) -> None:
    sick, well = make_head(2, matrix=64, positive=True), make_head(2, matrix=64, positive=False)

    changed = np.abs(sick.hu.astype(int) - well.hu) > 2
    assert sick.lesion.any()
    assert not well.lesion.any()
    np.testing.assert_array_equal(sick.brain, well.brain)
    assert changed[sick.lesion].mean() > 0.5
    assert changed[~ndimage.binary_dilation(sick.brain, iterations=3)].mean() < 0.01


def test_oedema_darkens_the_brain_around_metastases(heads: list[PhantomHead]) -> None:
    darker = []
    for number, head in enumerate(heads, 1):
        if not head.positive:
            continue
        well = make_head(number, matrix=64, positive=False)
        around = ndimage.binary_dilation(head.lesion, iterations=4) & head.brain & ~head.lesion
        darker.append(mean_hu(well, around) - mean_hu(head, around))
    assert np.median(darker) > 2


def test_largest_bright_blob_does_not_tell_the_classes_apart(heads: list[PhantomHead]) -> None:
    labels = [head.positive for head in heads]

    for above_hu in (50, 55, 60):
        assert area_under_curve(labels, [largest_bright_blob_ml(head, above_hu=above_hu) for head in heads]) < 0.8


def test_scanners_differ(heads: list[PhantomHead]) -> None:
    scanners = [head.scanner for head in heads]

    assert {scanner.tilt_degrees > 0 for scanner in scanners} == {True, False}
    assert any(scanner.tilt_degrees < 0 for scanner in scanners)
    assert any(np.ptp(np.diff(scanner.slice_z_mm)) > 1 for scanner in scanners)
    assert {scanner.padding for scanner in scanners} >= {None, -2000, -1500}
    assert {scanner.intercept for scanner in scanners} == {0, -1024}


def test_matrix_changes_the_pixels_not_the_patient() -> None:
    small, large = make_head(5, matrix=64), make_head(5, matrix=128)

    pairs = large.brain.reshape(large.brain.shape[0], 64, 2, 64, 2).mean(axis=(2, 4)) > 0.5
    assert np.mean(pairs != small.brain) < 0.01
    np.testing.assert_array_equal(small.slice_positions_mm, large.slice_positions_mm)


def test_nifti_holds_the_voxels_and_the_affine(head: PhantomHead, tmp_path: Path) -> None:
    write_head(head, tmp_path, index=2, file_format="nifti")

    image = nib.load(tmp_path / "CTs" / "phantom_0002.nii.gz")
    assert image.get_data_dtype() == np.int16
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), head.hu)
    np.testing.assert_allclose(image.get_sform(coded=True)[0], head.affine, atol=1e-4)
    assert nib.aff2axcodes(image.affine) == ("L", "P", "S")


def test_head_is_not_overwritten(head: PhantomHead, tmp_path: Path) -> None:
    write_head(head, tmp_path, index=1, file_format="nifti")

    with pytest.raises(FileExistsError, match="phantom_0001"):
        write_head(head, tmp_path, index=1, file_format="nifti")


def test_unknown_format_is_refused(head: PhantomHead, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dicom, nifti, got 'png'"):
        write_head(head, tmp_path, index=1, file_format="png")  # type: ignore[arg-type]


def test_command_writes_images_and_labels_the_same_twice(tmp_path: Path) -> None:
    for run, file_format, patients in (("first", "nifti", 4), ("second", "nifti", 4), ("dicom", "dicom", 1)):
        done = run_command(tmp_path / run, "--patients", patients, "--matrix", 48, "--format", file_format)
        assert done.returncode == 0, done.stderr

    assert digests(tmp_path / "first") == digests(tmp_path / "second")
    assert (tmp_path / "dicom" / "CTs" / "phantom_0001").is_dir()
    rows = list(csv.DictReader((tmp_path / "first" / "labels.csv").open()))
    assert [tuple(row) for row in rows] == [("ID", "PatientID", "Label")] * 4
    assert [row["PatientID"] for row in rows] == [f"phantom_{index:04d}" for index in range(1, 5)]
    assert [row["Label"] for row in rows] == [str(int(is_positive(index, seed=88))) for index in range(1, 5)]


def test_command_cuts_slabs_of_healthy_heads(tmp_path: Path) -> None:
    options = ("--patients", 2, "--matrix", 32, "--slab", 3, "--lesion-free")
    done = run_command(tmp_path / "out", *options)

    assert done.returncode == 0, done.stderr
    for index in (1, 2):
        slab = nib.load(tmp_path / "out" / "CTs" / f"phantom_{index:04d}.nii.gz")
        assert slab.shape == (32, 32, 3)
        head = make_head(index, positive=False, matrix=32)
        first = int(np.round((slab.affine[2, 3] - head.affine[2, 3]) / head.affine[2, 2]))
        np.testing.assert_array_equal(np.asarray(slab.dataobj).T, head.hu[first : first + 3])


@pytest.mark.parametrize(("extra", "message"), [(("--patients", 0), "--patients"), (("--matrix", 8), "matrix")])
def test_command_refuses_in_one_line(tmp_path: Path, extra: tuple[object, ...], message: str) -> None:
    done = run_command(tmp_path / "out", *extra)

    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
