from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from small_cases import ENDINGS_2018, ENDINGS_2023, add_case, make_mask

from custom_transforms.mri_study import read_patient
from data_lists.data_list_file import DataList, write_data_list
from data_lists.decathlon import build_data_list
from data_lists.split import FOLDS

SCRIPT = Path(__file__).parents[1] / "scripts/build_data_lists.py"


def make_set(root: Path, cases: int = 3) -> Path:
    for number in range(1, cases + 1):
        add_case(root, f"case_{number:02d}", seed=number, mask=make_mask(number))
    return root


def run_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_list_states_files_labels_and_size(tmp_path: Path) -> None:
    data_list = build_data_list(add_case(tmp_path, "A_1", seed=1), read=read_patient, fractions=(0, 0, 1))
    (item,) = data_list["test"]
    assert item["image"] == [f"A_1/A_1{ending}.nii.gz" for ending in ENDINGS_2018[:4]]
    assert (item["label"], item["label_convention"]["enhancing tumour"]) == ("A_1/A_1_seg.nii.gz", 4)
    assert item["tumour_ml"] == 3.0  # 3 voxels of 10 x 10 x 10 mm
    assert data_list["labels"] == {"0": "background", "1": "necrotic core", "2": "oedema", "4": "enhancing tumour"}
    assert data_list["modality"] == {"0": "FLAIR", "1": "T1", "2": "T1ce", "3": "T2"}
    assert data_list["description"] == "Split by patient 0/0/100, seed 88, stratified by tumour size"
    assert (data_list["numTraining"], data_list["numValidation"], data_list["numTest"]) == (0, 0, 1)


def test_tumour_sizes_are_spread_over_the_folds(tmp_path: Path) -> None:
    data_list = build_data_list(make_set(tmp_path, cases=16), read=read_patient, fractions=(0.5, 0.25, 0.25))
    sizes = {fold: sorted(item["tumour_ml"] for item in data_list[fold]) for fold in FOLDS}
    assert [len(sizes[fold]) for fold in FOLDS] == [8, 4, 4]
    assert [int(size - 1) // 4 for size in sizes["test"]] == [0, 1, 2, 3]  # one of each quartile of 1 to 16 ml
    assert statistics.median(sizes["training"]) == pytest.approx(8.5, abs=2)


def test_time_points_of_a_patient_stay_in_one_fold(tmp_path: Path) -> None:
    for patient in range(1, 5):
        for time in (100, 101, 102):
            name = f"BraTS-GLI-{patient:05d}-{time}"
            add_case(tmp_path, name, seed=10 * patient + time, endings=ENDINGS_2023)
    data_list = build_data_list(tmp_path, read=read_patient)
    patients = [{item["patient"] for item in data_list[fold]} for fold in FOLDS]
    assert [len(fold) for fold in patients] == [2, 1, 1]
    assert [len(data_list[fold]) for fold in FOLDS] == [6, 3, 3]
    assert len(set.union(*patients)) == 4


def test_without_labels_all_cases_are_in_test(tmp_path: Path) -> None:
    data_list = build_data_list(make_set(tmp_path), read=read_patient, unlabelled=True)
    assert [len(data_list[fold]) for fold in FOLDS] == [0, 0, 3]
    assert not {"labels", "label_convention"} & data_list.keys()
    assert data_list["test"][0].keys() == {"case", "patient", "image", "modalities", "sha256"}


def test_leak_is_refused_on_writing_and_nothing_is_left(tmp_path: Path) -> None:
    data_list: DataList = {"training": [{"patient": "p-1"}], "validation": [], "test": [{"patient": "P01"}]}
    with pytest.raises(ValueError, match="expected each patient in one fold"):
        write_data_list(data_list, tmp_path / "list.json")
    assert not list(tmp_path.iterdir())


def test_failed_writing_leaves_the_old_list(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text("old", encoding="utf-8")
    broken: DataList = {"name": object(), "training": []}  # type: ignore[typeddict-item]
    with pytest.raises(TypeError):
        write_data_list(broken, path)
    assert [file.name for file in tmp_path.iterdir()] == ["list.json"]
    assert path.read_text(encoding="utf-8") == "old"


def test_command_writes_the_list_that_the_library_builds(tmp_path: Path) -> None:
    make_set(tmp_path / "set")
    output = tmp_path / "list.json"
    done = run_command(tmp_path / "set", "--output", output, "--workers", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(output.read_text(encoding="utf-8")) == build_data_list(tmp_path / "set", read=read_patient)
    lines = output.read_text(encoding="utf-8").splitlines()
    assert [line.count('"case"') for line in lines if '"case"' in line] == [1, 1, 1]
    assert done.stdout.splitlines()[1].split()[:3] == ["training", "1", "1"]
    assert done.stdout.splitlines()[-1] == str(output)


def test_command_refuses_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    add_case(tmp_path, "A", seed=1, mask=make_mask(3, code=3))
    done = run_command(tmp_path, "--workers", "2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("build_data_lists: unknown_label: A_seg.nii.gz: ")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["A"]


def test_command_refuses_modalities_that_lie_apart(tmp_path: Path) -> None:
    path = add_case(tmp_path, "A", seed=1) / "A/A_t2.nii.gz"
    affine = np.diag([10.0, 10, 10, 1])
    affine[0, 3] = 50  # mm
    nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), affine), path)
    done = run_command(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("build_data_lists: grid_mismatch: A_t2.nii.gz: ")


def test_command_refuses_wrong_fractions_before_reading(tmp_path: Path) -> None:
    done = run_command(tmp_path / "nowhere", "--fractions", "0.5", "0.1", "0.1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "expected fractions with sum 1" in done.stderr


def test_neither_torch_nor_monai_is_imported() -> None:
    code = "import sys, data_lists.decathlon; print({'torch', 'monai', 'custom_transforms'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
