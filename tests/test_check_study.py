"""The command says in one line whether a study is fit, and leaves by the right door."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import CT, ROOT
from ct_files import spoil
from head_files import check, head_values, write_head_series
from monai.bundle import ConfigParser
from small_cases import add_case

from custom_transforms.check_study import check_study
from custom_transforms.fit_study import FitStudy
from custom_transforms.study_table import Row, check_studies, keep_rows

PLANTED = {"PatientName": "Quux^Zebedee", "PatientID": "PLANTED-90210", "PatientBirthDate": "19340517"}


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "check_study.py", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done


def last(text: str) -> str:
    return text.rstrip("\n").rpartition("\n")[2]


def test_fit_study_ends_in_one_line_of_json_and_its_volume_in_ras(tmp_path: Path) -> None:
    folder = write_head_series(tmp_path / "study")
    done = run(folder, "--task", "ct", "--save-volume", tmp_path / "new" / "head.npz", cwd=tmp_path)
    assert done.returncode == 0
    volume = str(tmp_path / "new" / "head.npz")
    assert json.loads(last(done.stdout)) == {"status": "ok", "warnings": [], "notes": [], "volume": volume}
    with np.load(volume, allow_pickle=False) as saved:
        assert sorted(saved) == ["affine", "data"]
        np.testing.assert_array_equal(saved["data"], head_values().transpose(2, 1, 0)[::-1, ::-1])
        assert np.linalg.det(saved["affine"][:3, :3]) > 0
    assert json.loads(last(run(folder, "--task", "ct", cwd=tmp_path).stdout))["volume"] is None


def test_unfit_study_ends_in_its_reason_and_leaves_no_volume(tmp_path: Path) -> None:
    folder = write_head_series(
        tmp_path / "study", change=lambda image, i: spoil(image, RescaleSlope=None) if i == 3 else None, **PLANTED
    )
    (folder / "sub").mkdir()
    (folder / "024.dcm").rename(folder / "sub" / "quux.dcm")
    done = run(folder, "--task", "ct", "--save-volume", tmp_path / "head.npz", cwd=tmp_path)
    assert done.returncode == 2
    assert last(done.stderr) == "missing_tag: file 27 of 27: expected RescaleSlope, got none"
    assert list(tmp_path.iterdir()) == [folder]


def test_what_cannot_run_ends_in_one_line_and_3(tmp_path: Path) -> None:
    folder = write_head_series(tmp_path / "study")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for words in (
        [folder],
        [folder, "--task", "spine"],
        [folder, "--task", "ct", "--labels"],
        [tmp_path, "--task", "ct", "--labels"],  # a folder of two
        [folder, "--task", "ct", "--save-volume", tmp_path / "file" / "x.npz"],
    ):
        done = run(*words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (3, "")
        assert last(done.stderr).startswith("check_study")


def test_folder_of_studies_gives_a_table_and_a_file_without_what_was_planted(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    write_head_series(studies / "b", StudyInstanceUID="1.2.1", **PLANTED)
    write_head_series(studies / "Zebedee", StudyInstanceUID="1.2.2", Modality="MR", **PLANTED)
    with zipfile.ZipFile(studies / "a.zip", "w") as archive:
        for file in (studies / "b").iterdir():
            archive.write(file, file.name)
    done = run(studies, "--task", "ct", cwd=tmp_path)
    assert done.returncode == 2
    table = done.stdout.splitlines()
    assert table[0].split() == [
        "refused",
        "study",
        "1",
        "of",
        "3",
        "wrong_modality:",
        ".:",
        "expected",
        "CT,",
        "got",
        "MR",
    ]
    assert [line.split() for line in table[1:3]] == [["ok", "a.zip"], ["ok", "b"]]
    assert table[3] == "3 studies, 1 refused, 0 failed: check_study.json"
    report = json.loads((tmp_path / "check_study.json").read_text())
    assert [row["reason_code"] for row in report["studies"]] == ["wrong_modality", "", ""]
    written = (done.stdout + done.stderr + (tmp_path / "check_study.json").read_text()).lower()
    assert not any(word in written for word in ("zebedee", "quux", "planted", "90210", "19340517"))
    assert run(studies, "--task", "ct", "--one", cwd=tmp_path).stderr.startswith("wrong_modality: .")


def test_patient_of_mri_ends_in_one_line_of_json_and_four_channels_in_ras(tmp_path: Path) -> None:
    folder = add_case(tmp_path, "P1", seed=1) / "P1"
    files = [folder / f"P1_{name}.nii.gz" for name in ("flair", "t1", "t1ce", "t2", "seg")]
    voxels = [nib.load(file).get_fdata() for file in files]
    for file in files:  # stored with axes to the left, the back and the head
        nib.save(nib.load(file).as_reoriented(np.array([[0, -1], [1, -1], [2, 1]])), file)
    words = (folder, "--task", "brats", "--labels", "--label-convention", "brats2018", "--save-volume", "P1.npz")
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(last(done.stdout)) == {"status": "ok", "warnings": [], "notes": [], "volume": "P1.npz"}
    with np.load(tmp_path / "P1.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["data"], voxels[:4])
        np.testing.assert_allclose(saved["affine"], np.diag([10, 10, 10, 1]), atol=1e-5)
    files[4].unlink()
    done = run(*words, cwd=tmp_path)
    assert (done.returncode, last(done.stderr)) == (2, "missing_label: .: expected a mask beside the images, got none")


def test_folder_of_mri_has_a_row_for_whatever_lies_beside_the_patients(tmp_path: Path) -> None:
    add_case(add_case(tmp_path / "in", "P1", seed=1), "P2", seed=2)
    (tmp_path / "in" / "P2" / "P2_t1.nii.gz").unlink()
    for folder, file in {"page": "index.html", "other": "P3_t1.mha"}.items():
        (tmp_path / "in" / folder).mkdir()
        (tmp_path / "in" / folder / file).touch()
    (tmp_path / "in" / "empty").mkdir()
    done = run(tmp_path / "in", "--task", "brats", "--output", "table.json", cwd=tmp_path)
    assert (done.returncode, last(done.stdout)) == (2, "5 studies, 4 refused, 0 failed: table.json")
    rows = json.loads((tmp_path / "table.json").read_text())["studies"]
    codes = {row["study"]: row["reason_code"] for row in rows}
    beside = {"P2": "missing_modality", "empty": "no_files", "other": "not_nifti", "page": "no_patient"}
    assert codes == {"P1": "", **beside}


def test_only_study_of_a_folder_is_refused_with_its_file_relative_to_that(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "P1" / "series"
    write_head_series(folder, change=lambda image, i: spoil(image, RescaleSlope=None) if i == 3 else None)
    done = run(tmp_path / "in", "--task", "ct", cwd=tmp_path)
    assert (done.returncode, last(done.stderr).partition(": expected")[0]) == (2, "missing_tag: P1/series/024.dcm")


def fail_for(*names: str) -> Callable[..., FitStudy]:
    def check(path: Path, **options: object) -> FitStudy:
        if path.name in names:
            raise KeyError("Doe^Jane")
        return FitStudy(np.zeros((2, 2, 2), np.float32), np.eye(4))

    return check


def test_unforeseen_error_of_one_study_is_its_row_without_the_text(tmp_path: Path) -> None:
    rows = list(check_studies([(name, tmp_path / name) for name in "abc"], fail_for("b")))
    assert [row["status"] for row in rows] == ["ok", "failed", "ok"]
    assert rows[1]["reason"] == "failed_check: .: expected a study that can be checked, got KeyError"


@pytest.mark.parametrize(("failing", "status"), [("", 0), ("b", 2), ("abc", 3)])
def test_exit_status_tells_failed_studies_from_a_check_that_could_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, status: int
) -> None:
    spec = importlib.util.spec_from_file_location("command", ROOT / "scripts" / "check_study.py")
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    monkeypatch.setattr(command, "check_study", fail_for(*failing))
    for name in "abc":
        (tmp_path / "in" / name).mkdir(parents=True)
    words = [str(tmp_path / "in"), "--task", "ct", "--output", str(tmp_path / "table.json")]
    assert command.run(command.build_parser().parse_args(words)) == status


def test_rows_survive_an_end_in_the_middle(tmp_path: Path) -> None:
    rows = list(check_studies([(name, tmp_path / name) for name in "ab"], fail_for("b")))
    folder = tmp_path / "new"

    def ended() -> Iterator[Row]:
        yield from rows
        (left,) = folder.iterdir()
        assert [json.loads(line) for line in left.read_text().splitlines()] == rows  # also if it is killed now
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep_rows(ended(), folder / "table.json")
    assert [file.name for file in folder.iterdir()] == ["table.json.partial"]
    assert keep_rows(iter(rows), folder / "table.json") == rows
    assert [file.name for file in folder.iterdir()] == ["table.json"]
    assert json.loads((folder / "table.json").read_text()) == {"studies": rows}


def test_importing_takes_neither_torch_nor_monai() -> None:
    code = "import sys, custom_transforms.check_study as c; sys.exit(bool({'torch', 'monai'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ}, check=False).returncode == 0


@pytest.mark.parametrize("kind", ["phantom", "real"])
def test_volume_is_that_of_the_bundle(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    """Run the steps of the bundle's own config; they differ from RAS by the flips of LPS."""
    folder = write_head_series(tmp_path) if kind == "phantom" else request.getfixturevalue("real_scans") / "head_ct_ge"
    config = ConfigParser(ConfigParser.load_config_file(CT / "configs" / "inference.json"))
    item = {"image": str(folder)}
    for step in ("load", "orient", "check_head"):
        item = config.get_parsed_content(f"steps::{step}")(item)
    study = check(folder)
    np.testing.assert_array_equal(study.data, item["image"][0].numpy()[::-1, ::-1])
    last_voxel = [size - 1 for size in study.data.shape[:2]]
    np.testing.assert_allclose(
        study.affine @ [*last_voxel, 0, 1], item["image"].affine.numpy() @ [0, 0, 0, 1], atol=1e-4
    )


def test_abdomen_and_other_syntaxes_by_hand(real_scans: Path, tmp_path: Path) -> None:
    done = run(real_scans / "ct_abdomen" / "example_ct.nii.gz", "--task", "ct", cwd=tmp_path)
    assert (done.returncode, last(done.stderr).partition(":")[0]) == (2, "implausible_spacing")
    with pytest.raises(ValueError, match="no labels"):
        check_study(real_scans, "ct", labels=True)
