"""The command says in one line whether a study is fit, and leaves by the right door."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import CT, ROOT
from ct_files import spoil
from head_files import check, head_values, write_head_series
from monai.bundle import ConfigParser

from custom_transforms.check_study import check_study

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
    for words in (
        [folder],
        [folder, "--task", "spine"],
        [folder, "--task", "ct", "--labels"],
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
    assert table[3] == "3 studies, 1 refused: check_study.json"
    report = json.loads((tmp_path / "check_study.json").read_text())
    assert [row["reason_code"] for row in report["studies"]] == ["wrong_modality", "", ""]
    written = (done.stdout + done.stderr + (tmp_path / "check_study.json").read_text()).lower()
    assert not any(word in written for word in ("zebedee", "quux", "planted", "90210", "19340517"))
    assert run(studies, "--task", "ct", "--one", cwd=tmp_path).stderr.startswith("wrong_modality: .")


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
