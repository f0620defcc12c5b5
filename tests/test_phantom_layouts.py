"""Phantom patients on disk: names, labels and tables of each layout, and the command that writes them."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from data_lists.phantom_layouts import LAYOUTS, Layout, write_index, write_patient
from data_lists.phantom_mri import PhantomPatient, make_patient

SHAPE = (41, 37, 19)
COMMAND = Path(__file__).parents[1] / "scripts" / "make_phantom.py"


@pytest.fixture(scope="module")
def patient() -> PhantomPatient:
    return make_patient(2, shape=SHAPE, seed=88)


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(COMMAND), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def voxels(path: Path) -> NDArray[np.int64]:
    return np.asarray(nib.load(path).dataobj).astype(np.int64)


@pytest.mark.parametrize(
    ("layout", "case", "files", "enhancing"),
    [
        ("brats2018", "Phantom_002", ("_flair", "_t1", "_t1ce", "_t2", "_seg"), 4),
        ("brats2023", "Phantom-00002-000", ("-t2f", "-t1n", "-t1c", "-t2w", "-seg"), 3),
    ],
)
def test_brats_layouts(
    patient: PhantomPatient, tmp_path: Path, layout: Layout, case: str, files: tuple[str, ...], enhancing: int
) -> None:
    write_patient(patient, tmp_path, layout=layout, index=2)
    write_index(tmp_path, layout=layout)

    assert set(digests(tmp_path)) == {f"{case}/{case}{file}.nii.gz" for file in files}
    for modality, file in enumerate(files[:4]):
        np.testing.assert_array_equal(voxels(tmp_path / case / f"{case}{file}.nii.gz"), patient.image[modality])
    labels = voxels(tmp_path / case / f"{case}{files[4]}.nii.gz")
    np.testing.assert_array_equal(labels, np.array([0, 1, 2, enhancing])[patient.regions])


def test_nifti_header_is_complete(patient: PhantomPatient, tmp_path: Path) -> None:
    write_patient(patient, tmp_path, layout="brats2018", index=2)
    image = nib.load(tmp_path / "Phantom_002" / "Phantom_002_t1.nii.gz")

    for affine, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        np.testing.assert_allclose(affine, patient.affine, atol=1e-4)
        assert code == 1
    assert image.get_data_dtype() == np.int16
    assert nib.load(tmp_path / "Phantom_002" / "Phantom_002_seg.nii.gz").get_data_dtype() == np.uint8


def test_decathlon_layout(patient: PhantomPatient, tmp_path: Path) -> None:
    write_patient(patient, tmp_path, layout="msd", index=2)
    write_index(tmp_path, layout="msd")

    image = voxels(tmp_path / "imagesTr" / "PHANTOM_002.nii.gz")
    labels = voxels(tmp_path / "labelsTr" / "PHANTOM_002.nii.gz")
    described = json.loads((tmp_path / "dataset.json").read_text())
    np.testing.assert_array_equal(image, np.moveaxis(patient.image, 0, -1))
    np.testing.assert_array_equal(labels, np.array([0, 2, 1, 3])[patient.regions])
    assert described["training"] == [
        {"image": "./imagesTr/PHANTOM_002.nii.gz", "label": "./labelsTr/PHANTOM_002.nii.gz"}
    ]
    assert described["modality"]["0"] == "FLAIR"


def test_kaggle_layout(patient: PhantomPatient, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    write_patient(patient, tmp_path, layout="kaggle_h5", index=2)
    write_index(tmp_path, layout="kaggle_h5")

    with (tmp_path / "meta_data.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["slice_path", "target", "volume", "slice"]
    assert [row["slice_path"] for row in rows] == [f"/content/data/volume_2_slice_{k}.h5" for k in range(SHAPE[2])]
    for number, row in enumerate(rows):
        with h5py.File(tmp_path / "data" / f"volume_2_slice_{number}.h5") as file:
            image, mask = file["image"][()], file["mask"][()]
        assert (image.shape, image.dtype, mask.dtype) == ((*SHAPE[:2], 4), np.float64, np.uint8)
        np.testing.assert_array_equal(mask @ [1, 2, 3], patient.regions[:, :, number])
        assert row["target"] == str(int(mask.any()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_of_two_runs_are_identical(patient: PhantomPatient, tmp_path: Path, layout: Layout) -> None:
    for run in ("first", "second"):
        write_patient(patient, tmp_path / run, layout=layout, index=1)
        write_index(tmp_path / run, layout=layout)

    assert digests(tmp_path / "first") == digests(tmp_path / "second")


def test_missing_h5py_is_named(patient: PhantomPatient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'neuro-oncology-bundles\[h5\]'"):
        write_patient(patient, tmp_path, layout="kaggle_h5", index=1)
    assert not list(tmp_path.iterdir())


def test_patient_is_not_overwritten(patient: PhantomPatient, tmp_path: Path) -> None:
    write_patient(patient, tmp_path, layout="msd", index=1)

    with pytest.raises(FileExistsError, match="PHANTOM_001"):
        write_patient(patient, tmp_path, layout="msd", index=1)


def test_unknown_layout_is_refused(patient: PhantomPatient, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="brats2018, brats2023, msd, kaggle_h5, got 'dicom'"):
        write_patient(patient, tmp_path, layout="dicom", index=1)  # type: ignore[arg-type]


def test_command_makes_the_same_patient_whatever_their_number(patient: PhantomPatient, tmp_path: Path) -> None:
    for name, count in (("few", 2), ("more", 3)):
        done = run_command("mri", tmp_path / name, "--patients", count, "--shape", *SHAPE)
        assert done.returncode == 0, done.stderr

    few, more = digests(tmp_path / "few"), digests(tmp_path / "more")
    assert few.items() < more.items()
    labels = voxels(tmp_path / "few" / "Phantom_002" / "Phantom_002_t1.nii.gz")
    np.testing.assert_array_equal(labels, patient.image[1])


@pytest.mark.parametrize(
    ("name", "extra", "message"),
    [("full", (), "is not empty"), ("new", ("--patients", 0), "--patients"), ("new", ("--shape", 9, 9, 2), "shape")],
)
def test_command_refuses_in_one_line(tmp_path: Path, name: str, extra: tuple[object, ...], message: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("kept")

    done = run_command("mri", tmp_path / name, *extra)

    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
