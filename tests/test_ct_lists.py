"""Data lists of CT studies: who is found, which label each has, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom_transforms.ct_study import read_ct
from data_lists.ct_layout import find_ct_data_set, is_ct_data_set
from data_lists.ct_list import build_ct_list
from data_lists.data_list_file import DataList
from data_lists.fold_table import format_fold_table
from data_lists.split import FOLDS, split_patients

SCRIPT = Path(__file__).parents[1] / "scripts/build_data_lists.py"
SHAPE = (6, 5, 4)  # columns, rows, slices


def add_scan(path: Path, *, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(seed).integers(-1000, 1000, SHAPE).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([-1.0, -1.0, 5.0, 1.0])), path)


def add_table(root: Path, *rows: str, name: str = "labels1.csv") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(["ID,PatientID,Label", *rows]) + "\n", encoding="utf-8")
    return root


def add_folders(root: Path, *patients: str) -> Path:
    """Folders as of DICOM studies; a layout is found by names alone."""
    for patient in patients:
        (root / "CTs" / patient / "series").mkdir(parents=True)
    return root


def make_set(root: Path, *, patients: int = 10) -> Path:
    """NIfTI studies, of which every second is positive."""
    for number in range(patients):
        add_scan(root / f"CTs/p{number:02d}.nii.gz", seed=number)
    return add_table(root, *(f"{number},p{number:02d},{number % 2}" for number in range(patients)))


def patients_of(data_list: DataList) -> dict[str, list[str]]:
    return {fold: [item["patient"] for item in data_list[fold]] for fold in FOLDS}


def test_folder_per_patient_with_the_label_of_the_table(tmp_path: Path) -> None:
    add_folders(tmp_path, "pat_001", "pat_002")
    data_set = find_ct_data_set(add_table(tmp_path, "1,pat_002,0", "2,pat_001,1", "3,pat_001,1"))
    found = [(study.patient, study.image, study.label) for study in data_set.cases]
    assert found == [("pat_001", "CTs/pat_001", 1), ("pat_002", "CTs/pat_002", 0)]


def test_nifti_files_lie_in_the_folder_or_beside_the_table(tmp_path: Path) -> None:
    add_scan(tmp_path / "a.nii.gz", seed=1)
    add_scan(tmp_path / "b.nii", seed=2)
    data_set = find_ct_data_set(add_table(tmp_path, "1,a,1", "2,b,0"))
    assert [(study.patient, study.image) for study in data_set.cases] == [("a", "a.nii.gz"), ("b", "b.nii")]


def test_leading_zeros_that_a_spreadsheet_took_are_no_other_patient(tmp_path: Path) -> None:
    data_set = find_ct_data_set(add_table(add_folders(tmp_path, "001", "010"), "1,1,1", "2,10,0"))
    assert [(study.patient, study.label) for study in data_set.cases] == [("001", 1), ("010", 0)]


def test_list_states_study_label_and_hash(tmp_path: Path) -> None:
    data_list = build_ct_list(make_set(tmp_path, patients=2), read=read_ct, fractions=(0, 0, 1))
    item = data_list["test"][1]
    assert {key: item[key] for key in ("case", "patient", "image", "label", "slices")} == {
        "case": "p01",
        "patient": "p01",
        "image": "CTs/p01.nii.gz",
        "label": 1,
        "slices": 4,
    }
    assert len(item["sha256"]["image"]) == 64
    header = {key: value for key, value in data_list.items() if key not in FOLDS}
    assert header.pop("licence").startswith("unknown")
    assert header == {
        "name": tmp_path.name,
        "description": "Split by patient 0/0/100, seed 88, stratified by label",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "no metastases", "1": "brain metastases"},
        "seed": 88,
        "numTraining": 0,
        "numValidation": 0,
        "numTest": 2,
    }


def test_folds_are_60_20_20_with_half_of_each_positive(tmp_path: Path) -> None:
    data_list = build_ct_list(make_set(tmp_path), read=read_ct)
    assert [[item["label"] for item in data_list[fold]].count(1) for fold in FOLDS] == [3, 1, 1]
    assert [len(data_list[fold]) for fold in FOLDS] == [6, 2, 2]
    assert format_fold_table(data_list).splitlines()[1].split() == ["training", "6", "6", "3"]


def test_fractions_of_two_folds_leave_test_empty(tmp_path: Path) -> None:
    data_list = build_ct_list(make_set(tmp_path), read=read_ct, fractions=(0.8, 0.2, 0))
    assert [len(data_list[fold]) for fold in FOLDS] == [8, 2, 0]


def test_stratified_split_is_the_one_written_here_on_every_machine() -> None:
    patients = [f"p{number:02d}" for number in range(10)]
    folds = split_patients(patients, labels={p: int(p[1:]) % 2 for p in patients}, fractions=(0.6, 0.2, 0.2))
    assert (folds["validation"], folds["test"]) == (["p03", "p04"], ["p08", "p09"])


def test_every_label_is_within_one_patient_of_its_share() -> None:
    patients = [f"p{number}" for number in range(102)]
    labels = {patient: int(index < 41) for index, patient in enumerate(patients)}
    folds = split_patients(patients, labels=labels, fractions=(0.6, 0.2, 0.2))
    for label, number in ((1, 41), (0, 61)):
        for fold, share in zip(FOLDS, (0.6, 0.2, 0.2), strict=True):
            assert abs(sum(labels[patient] == label for patient in folds[fold]) - share * number) < 1


def test_labels_and_sizes_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="got both"):
        split_patients(["a"], labels={"a": 1}, tumour_ml={"a": 1.0})


def test_without_labels_all_studies_are_in_test(tmp_path: Path) -> None:
    add_scan(tmp_path / "x/scan.nii.gz", seed=1)
    add_scan(tmp_path / "y.nii.gz", seed=2)
    found = find_ct_data_set(tmp_path, unlabelled=True)
    assert [(study.patient, study.image, study.label) for study in found.cases] == [
        ("x", "x", None),
        ("y", "y.nii.gz", None),
    ]
    (tmp_path / "x/scan.nii.gz").rename(tmp_path / "x.nii.gz")
    (tmp_path / "x").rmdir()
    data_list = build_ct_list(tmp_path, read=read_ct, unlabelled=True)
    assert patients_of(data_list) == {"training": [], "validation": [], "test": ["x", "y"]}
    assert "labels" not in data_list
    assert data_list["test"][0].keys() == {"case", "patient", "image", "slices", "sha256"}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["1,a,1"], "a label of each study, got none for b"),
        (["1,a,1", "2,b,0", "3,c,0"], "a study for each label, got none for c"),
        (["1,a,1", "2,b,0", "3,a,0"], "one label per patient, got 0 and 1 for a"),
        (["1,a,positive", "2,b,0"], "the label 0 or 1, got 'positive' for a"),
        (["1,a,", "2,b,0"], "the label 0 or 1, got ''"),
        (["1,a,1", "2,A,1", "3,b,0"], "one spelling per patient, got 'a' and 'A'"),
        (["1,a,1", "2,b"], "labels1.csv: expected the columns PatientID and Label"),
        ([], "a row per patient, got none"),
    ],
)
def test_labels_that_do_not_fit_the_studies_are_refused(tmp_path: Path, rows: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        find_ct_data_set(add_table(add_folders(tmp_path, "a", "b"), *rows))
    assert "\n" not in str(caught.value)


def test_long_list_of_missing_labels_is_shortened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got none for b, c, d and 2 more$"):
        find_ct_data_set(add_table(add_folders(tmp_path, *"abcdef"), "1,a,1"))


def test_missing_or_second_table_is_refused_unless_one_is_named(tmp_path: Path) -> None:
    add_folders(tmp_path, "a")
    with pytest.raises(ValueError, match="expected one csv with the columns PatientID and Label .*got none"):
        find_ct_data_set(tmp_path)
    add_table(add_table(tmp_path, "1,a,1", name="new.csv"), "1,a,0", name="old.csv")
    with pytest.raises(ValueError, match="got new.csv, old.csv"):
        find_ct_data_set(tmp_path)
    assert find_ct_data_set(tmp_path, table=tmp_path / "new.csv").cases[0].label == 1


def test_patient_with_folder_and_file_is_refused(tmp_path: Path) -> None:
    add_scan(add_table(add_folders(tmp_path, "a"), "1,a,1") / "CTs/a.nii.gz", seed=1)
    with pytest.raises(ValueError, match="expected one study per patient, got CTs/a and CTs/a.nii.gz"):
        find_ct_data_set(tmp_path)


def test_empty_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "CTs").mkdir()
    with pytest.raises(ValueError, match="got no study in"):
        find_ct_data_set(tmp_path)
    (tmp_path / "CTs/a").mkdir()
    with pytest.raises(ValueError, match="expected a study in folder CTs/a, got nothing"):
        find_ct_data_set(tmp_path)


def test_same_scan_of_two_patients_is_refused_in_another_storage(tmp_path: Path) -> None:
    make_set(tmp_path, patients=2)
    scan = nib.load(tmp_path / "CTs/p00.nii.gz")
    (tmp_path / "CTs/p01.nii.gz").unlink()
    flipped = scan.as_reoriented(np.array([[0, -1], [1, 1], [2, 1]]))
    nib.save(nib.Nifti1Image(flipped.get_fdata(dtype=np.float32), flipped.affine), tmp_path / "CTs/p01.nii")
    with pytest.raises(ValueError, match="got the same voxels in CTs/p00.nii.gz and CTs/p01.nii$"):
        build_ct_list(tmp_path, read=read_ct)


def test_study_that_the_reader_refuses_is_named(tmp_path: Path) -> None:
    make_set(tmp_path, patients=2)
    (tmp_path / "CTs/p01.nii.gz").write_bytes(b"0" * 99)
    with pytest.raises(ValueError, match=r"^damaged_gzip: p01.nii.gz: .*\(study CTs/p01.nii.gz\)$"):
        build_ct_list(tmp_path, read=read_ct)


def test_task_is_recognised_by_folder_or_columns(tmp_path: Path) -> None:
    assert not is_ct_data_set(tmp_path / "nowhere")
    (tmp_path / "meta_data.csv").write_text("slice_path,target,volume,slice\n", encoding="utf-8")
    assert not is_ct_data_set(tmp_path)
    assert is_ct_data_set(add_table(tmp_path))
    assert is_ct_data_set(add_folders(tmp_path / "other", "a"))


def test_deep_dicom_folder_is_one_study(real_scans: Path, tmp_path: Path) -> None:
    shutil.copytree(real_scans / "head_ct_ge", tmp_path / "CTs/one/visit/series")
    data_list = build_ct_list(add_table(tmp_path, "1,one,0"), read=read_ct, fractions=(0, 0, 1))
    assert (data_list["test"][0]["image"], data_list["test"][0]["slices"]) == ("CTs/one", 28)


def run_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_command_writes_the_list_that_the_library_builds(tmp_path: Path) -> None:
    make_set(tmp_path / "set")
    done = run_command(tmp_path / "set", "--workers", "2")
    assert (done.returncode, done.stderr) == (0, "")
    written = json.loads((tmp_path / "set/data_list.json").read_text(encoding="utf-8"))
    assert written == build_ct_list(tmp_path / "set", read=read_ct)
    assert done.stdout.splitlines()[0].split() == ["fold", "patients", "cases", "positive"]


def test_command_refuses_options_of_the_other_task(tmp_path: Path) -> None:
    done = run_command(make_set(tmp_path, patients=2), "--layout", "brats2018")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "build_data_lists: expected --layout and --modalities only for BraTS, --table and --columns only for CT\n"
    )


def test_files_that_are_no_studies_are_counted_in_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.nii.gz", "data_list.json", "b.zip", "c.dcm"):
        (tmp_path / name).touch()
    assert [study.patient for study in find_ct_data_set(tmp_path, unlabelled=True).cases] == ["a"]
    assert caplog.messages == ["not used, since they are no studies: 2 files"]
