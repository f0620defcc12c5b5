from __future__ import annotations

import gzip
import json
import statistics
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_lists.data_list_file import DataList, write_data_list
from data_lists.decathlon import build_data_list
from data_lists.split import FOLDS

SHAPE = (6, 5, 4)
ENDINGS_2018 = ("_flair", "_t1", "_t1ce", "_t2", "_seg")
ENDINGS_2023 = ("-t2f", "-t1n", "-t1c", "-t2w", "-seg")
SCRIPT = Path(__file__).parents[1] / "scripts/build_data_lists.py"


def save(path: Path, voxels: np.ndarray, spacing_mm: float = 10.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([spacing_mm, spacing_mm, spacing_mm, 1])), path)


def make_mask(tumour_voxels: int, code: int = 2) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask.flat[:tumour_voxels] = code
    return mask


def add_case(
    root: Path, name: str, *, seed: int, mask: np.ndarray | None = None, endings: tuple[str, ...] = ENDINGS_2018
) -> Path:
    images = np.random.default_rng(seed).integers(-5, 900, (4, *SHAPE)).astype(np.int16)
    for ending, voxels in zip(endings, [*images, make_mask(3) if mask is None else mask], strict=True):
        save(root / name / f"{name}{ending}.nii.gz", voxels)
    return root


def make_set(root: Path, cases: int = 3) -> Path:
    for number in range(1, cases + 1):
        add_case(root, f"case_{number:02d}", seed=number, mask=make_mask(number))
    return root


def run_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_list_states_files_labels_and_size(tmp_path: Path) -> None:
    data_list = build_data_list(add_case(tmp_path, "A_1", seed=1), fractions=(0, 0, 1))
    (item,) = data_list["test"]
    assert item["image"] == [f"A_1/A_1{ending}.nii.gz" for ending in ENDINGS_2018[:4]]
    assert (item["label"], item["label_convention"]["enhancing tumour"]) == ("A_1/A_1_seg.nii.gz", 4)
    assert item["tumour_ml"] == 3.0  # 3 voxels of 10 x 10 x 10 mm
    assert data_list["labels"] == {"0": "background", "1": "necrotic core", "2": "oedema", "4": "enhancing tumour"}
    assert data_list["modality"] == {"0": "FLAIR", "1": "T1", "2": "T1ce", "3": "T2"}
    assert data_list["description"] == "Split by patient 0/0/100, seed 88, stratified by tumour size"
    assert (data_list["numTraining"], data_list["numValidation"], data_list["numTest"]) == (0, 0, 1)


def test_tumour_sizes_are_spread_over_the_folds(tmp_path: Path) -> None:
    data_list = build_data_list(make_set(tmp_path, cases=16), fractions=(0.5, 0.25, 0.25))
    sizes = {fold: sorted(item["tumour_ml"] for item in data_list[fold]) for fold in FOLDS}
    assert [len(sizes[fold]) for fold in FOLDS] == [8, 4, 4]
    assert [int(size - 1) // 4 for size in sizes["test"]] == [0, 1, 2, 3]  # one of each quartile of 1 to 16 ml
    assert statistics.median(sizes["training"]) == pytest.approx(8.5, abs=2)


def test_time_points_of_a_patient_stay_in_one_fold(tmp_path: Path) -> None:
    for patient in range(1, 5):
        for time in (100, 101, 102):
            name = f"BraTS-GLI-{patient:05d}-{time}"
            add_case(tmp_path, name, seed=10 * patient + time, endings=ENDINGS_2023)
    data_list = build_data_list(tmp_path)
    patients = [{item["patient"] for item in data_list[fold]} for fold in FOLDS]
    assert [len(fold) for fold in patients] == [2, 1, 1]
    assert [len(data_list[fold]) for fold in FOLDS] == [6, 3, 3]
    assert len(set.union(*patients)) == 4


def test_resection_cavity_is_no_tumour(tmp_path: Path) -> None:
    mask = make_mask(3)
    mask.flat[3:9] = 4
    add_case(tmp_path, "BraTS-GLI-00005-100", seed=1, mask=mask, endings=ENDINGS_2023)
    (item,) = build_data_list(tmp_path, layout="brats2024", fractions=(0, 0, 1))["test"]
    assert item["tumour_ml"] == 3.0


def test_without_labels_all_cases_are_in_test(tmp_path: Path) -> None:
    data_list = build_data_list(make_set(tmp_path), unlabelled=True)
    assert [len(data_list[fold]) for fold in FOLDS] == [0, 0, 3]
    assert not {"labels", "label_convention"} & data_list.keys()
    assert data_list["test"][0].keys() == {"case", "patient", "image", "modalities", "sha256"}


def test_strange_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected labels 0, 1, 2, 4, got 3 in A/A_seg.nii.gz$"):
        build_data_list(add_case(tmp_path, "A", seed=1, mask=make_mask(3, code=3)))


def test_fractional_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected labels 0, 1, 2, 4, got 0.5 in A/A_seg.nii.gz"):
        build_data_list(add_case(tmp_path, "A", seed=1, mask=make_mask(3).astype(np.float32) / 4))


def test_label_4_in_names_of_2023_points_to_2024(tmp_path: Path) -> None:
    add_case(tmp_path, "BraTS-GLI-00005-100", seed=1, mask=make_mask(3, code=4), endings=ENDINGS_2023)
    with pytest.raises(ValueError, match=r"got 4 in .*use --layout brats2024"):
        build_data_list(tmp_path)


def test_same_image_of_two_patients_is_refused_in_another_storage_type(tmp_path: Path) -> None:
    add_case(tmp_path, "A", seed=1)
    add_case(tmp_path, "B", seed=2)
    source = nib.load(tmp_path / "A/A_t1.nii.gz")
    save(tmp_path / "B/B_t2.nii.gz", np.asanyarray(source.dataobj).astype(np.float64))
    with pytest.raises(ValueError, match=r"under A \(T1 in A/A_t1.nii.gz\) and B \(T2 in B/B_t2.nii.gz\)"):
        build_data_list(tmp_path)


def test_image_of_one_value_is_refused(tmp_path: Path) -> None:
    save(add_case(tmp_path, "A", seed=1) / "A/A_t1ce.nii.gz", np.zeros(SHAPE, np.int16))
    with pytest.raises(ValueError, match="expected an image, got 0 in every voxel of T1ce of A"):
        build_data_list(tmp_path)


def test_modality_of_another_shape_is_refused(tmp_path: Path) -> None:
    save(add_case(tmp_path, "A", seed=1) / "A/A_t2.nii.gz", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3, 4\) for T2 of A"):
        build_data_list(tmp_path)


def damage_checksum(raw: bytes) -> bytes:
    return raw[:-8] + bytes([raw[-8] ^ 1]) + raw[-7:]


@pytest.mark.parametrize(
    "damaged",
    [damage_checksum, lambda raw: raw[:-9], lambda raw: raw[:40], gzip.decompress, lambda raw: gzip.compress(b"0" * 9)],
    ids=["checksum", "lost tail", "lost body", "no gzip", "no NIfTI"],
)
def test_damaged_file_is_refused_by_name(tmp_path: Path, damaged) -> None:  # type: ignore[no-untyped-def]
    path = add_case(tmp_path, "A", seed=1) / "A/A_t1ce.nii.gz"
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(ValueError, match=r"expected a complete NIfTI file, got A/A_t1ce.nii.gz"):
        build_data_list(tmp_path)


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
    assert json.loads(output.read_text(encoding="utf-8")) == build_data_list(tmp_path / "set")
    lines = output.read_text(encoding="utf-8").splitlines()
    assert [line.count('"case"') for line in lines if '"case"' in line] == [1, 1, 1]
    assert done.stdout.splitlines()[1].split()[:3] == ["training", "1", "1"]
    assert done.stdout.splitlines()[-1] == str(output)


def test_command_refuses_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    add_case(tmp_path, "A", seed=1, mask=make_mask(3, code=3))
    done = run_command(tmp_path, "--workers", "2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "build_data_lists: expected labels 0, 1, 2, 4, got 3 in A/A_seg.nii.gz\n"
    assert [path.name for path in tmp_path.iterdir()] == ["A"]


def test_command_refuses_wrong_fractions_before_reading(tmp_path: Path) -> None:
    done = run_command(tmp_path / "nowhere", "--fractions", "0.5", "0.1", "0.1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "expected fractions with sum 1" in done.stderr


def test_neither_torch_nor_monai_is_imported() -> None:
    code = "import sys, data_lists.decathlon; print({'torch', 'monai', 'custom_transforms'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
