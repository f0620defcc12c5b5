"""Runs over many studies: none stops the others, none is done twice, and what is written can be relied on."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from monai.transforms import Orientationd
from small_runs import build, count_rows, rows_of, run, write_place
from tiny_studies import predict, summary_of, write_mri_weights

from custom_transforms.file_hash import file_sha256
from custom_transforms.refusal import RefusedError, SomeRefusedError, refusal_in
from custom_transforms.runs import study_record
from custom_transforms.runs.folder_lock import Shard, lock_folder
from custom_transforms.runs.study_name import RESERVED
from custom_transforms.save_mask import SaveImageMaskd
from custom_transforms.slice_quality import KeepGoodSlicesd
from data_lists.phantom_layouts import write_patient
from data_lists.phantom_mri import make_patient


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return write_place(tmp_path)


def test_every_study_has_a_row_and_whole_outputs(place: Path) -> None:
    rows = run(place)
    assert {case: row["status"] for case, row in rows.items()} == {
        "study_0000": "refused", **{f"study_{number:04d}": "ok" for number in range(1, 5)}}  # fmt: skip
    row = rows["study_0003"]
    assert set(row["outputs"]) == {"study_0003.json", "study_0003_region.nii.gz"}
    assert row["attempts"] == 1
    assert {"python", "monai", "torch", "bundle", "custom_transforms"} <= set(row["versions"])
    assert all(len(row[name]) == 64 for name in ("sha256", "weights_sha256"))
    assert {"preparing", "inference"} == set(row["seconds"]) == set(row["peak_mb"])
    assert not (place / "out" / "study_0000.json").exists()
    assert summary_of(place / "out") == {"studies": 5, "ok": 4, "refused": 1, "failed": 0, "pending": 0,
        "refused_by_reason": {rows["study_0000"]["code"]: 1}, "failed_by_reason": {}}  # fmt: skip
    with (place / "out" / "predictions.csv").open() as stream:
        table = {row["case"]: row for row in csv.DictReader(stream)}
    assert table.keys() == rows.keys()
    assert 0 < float(table["study_0001"]["probability"]) < 1
    assert table["study_0000"]["reason"] == rows["study_0000"]["message"]


def test_study_that_cannot_be_read_stops_no_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        if path.name == "study_0002.nii.gz":
            raise PermissionError(errno.EACCES, "no")
        return file_sha256(path)

    monkeypatch.setattr(study_record, "file_sha256", refuse)
    assert run(place)["study_0001"]["status"] == "ok"
    [unread] = [row for row in run(place).values() if row["status"] == "failed"]
    assert (unread["code"], unread["sha256"]) == ("failed_preparing", "")
    monkeypatch.undo()
    assert run(place)["study_0002"]["status"] == "ok"


def test_study_called_like_a_file_of_the_run_overwrites_none(place: Path) -> None:
    (place / "in" / "study_0001.nii.gz").rename(place / "in" / "summary.nii.gz")
    rows = run(place)
    [row] = [row for row in rows.values() if row["notes"]]
    assert (row["case"], row["notes"], row["status"]) == (row["row"], [RESERVED], "ok")
    assert summary_of(place / "out")["ok"] == 4
    before = count_rows(place)
    run(place)
    assert count_rows(place) == before


def test_study_that_fails_in_the_network_leaves_a_row_and_no_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = SaveImageMaskd.__call__

    def fail_for_one(self: SaveImageMaskd, data: Any) -> Any:
        saved = save(self, data)
        if data["case"] == "study_0002":
            raise KeyError("Doe^Jane")
        return saved

    monkeypatch.setattr(SaveImageMaskd, "__call__", fail_for_one)
    rows = run(place)
    assert rows["study_0002"]["message"].startswith("failed_inference: .: expected a result, got KeyError in test_pre")
    assert "Doe" not in json.dumps(rows)
    assert list((place / "out").glob("study_0002*")) == []
    assert summary_of(place / "out")["ok"] == 3


def test_worker_that_dies_while_another_study_is_saved_does_not_fail_that_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, told = SaveImageMaskd.__call__, []

    def hear_of_a_death(self: SaveImageMaskd, data: Any) -> Any:
        saved = save(self, data)
        if data["case"] == "study_0002" and not told:
            told.append(list((place / "out").glob("study_0002*")))
            raise RuntimeError("applying transform") from RuntimeError("DataLoader worker (pid 7) is killed by signal")
        return saved

    monkeypatch.setattr(SaveImageMaskd, "__call__", hear_of_a_death)
    rows = run(place)
    assert told[0]
    assert {row["status"] for row in rows.values()} == {"ok", "refused"}
    assert summary_of(place / "out")["ok"] == 4


def test_unforeseen_error_in_preparing_tells_nothing_of_what_was_read(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: KeepGoodSlicesd, data: Any) -> Any:
        raise IndexError("Doe^Jane")

    monkeypatch.setattr(KeepGoodSlicesd, "__call__", fail)
    rows = run(place)
    assert rows["study_0001"]["code"] == "failed_preparing"
    assert "IndexError" in rows["study_0001"]["message"]
    assert "Doe" not in json.dumps(rows)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_output_that_cannot_be_written_ends_the_run(place: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(self: SaveImageMaskd, data: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(SaveImageMaskd, "__call__", fail)
    with pytest.raises(RuntimeError, match="applying transform"):
        run(place)
    assert summary_of(place / "out")["pending"] == 4  # the refused one came first


NO_ROOM = RefusedError.of("no_room", "Doe.zip", expected="room in the temporary folder for a zip", got="less")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NO_ROOM, r"^no_room: \.: expected room in the temporary folder"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), r"^no_room: \.: expected room in the temporary folder"),
        (ChildProcessError("isolation"), r"^no_reader: \.: expected a process that reads studies"),
    ],
)
def test_what_keeps_every_study_from_being_prepared_ends_the_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    def fail(self: KeepGoodSlicesd, data: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(KeepGoodSlicesd, "__call__", fail)
        with pytest.raises(RefusedError, match=line):
            run(place)
    assert {name: summary_of(place / "out")[name] for name in ("pending", "refused")} == {"pending": 4, "refused": 1}
    run(place)
    assert summary_of(place / "out")["ok"] == 4


def test_damaged_threshold_ends_the_run(place: Path) -> None:
    (place / "operating_point.json").write_text("{}")
    with pytest.raises(RuntimeError) as caught:
        run(place)
    assert str(refusal_in(caught.value)).startswith("damaged_operating_point: operating_point.json")
    assert summary_of(place / "out")["failed"] == 0


def test_missing_weights_end_the_run_before_anything_is_written(place: Path) -> None:
    (place / "model.pt").unlink()
    with pytest.raises(RefusedError, match="missing_checkpoint: model.pt"):
        run(place)
    assert not (place / "out").exists()


def test_study_that_kills_its_loader_twice_is_given_up(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = Orientationd.__call__

    def kill_for_one(self: Orientationd, data: Any, lazy: bool | None = None) -> Any:
        if data["case"] == "study_0002":
            os.kill(os.getpid(), signal.SIGKILL)
        return turn(self, data, lazy=lazy)

    monkeypatch.setattr(Orientationd, "__call__", kill_for_one)  # in the loader's worker
    evaluator = build(place, num_workers=2)
    with pytest.raises(SomeRefusedError, match="some_refused: summary.json: .* 3 ok, 1 refused, 1 failed"):
        evaluator.run()
    rows = rows_of(place)
    killed = [row for row in rows.values() if row["code"] == "killed_worker"]
    assert [(row["status"], row["attempts"], row["case"] == row["row"]) for row in killed] == [("failed", 2, True)]
    assert summary_of(place / "out")["pending"] == 0
    assert len(rows) == 5
    assert (len(killed[0]["state"]), len(killed[0]["sha256"])) == (64, 64)
    before = count_rows(place)
    run(place, num_workers=2)  # it would kill again
    assert count_rows(place) == before


def test_command_tells_by_its_exit_status_what_became_of_the_studies(place: Path) -> None:
    source, output, weights = place / "in", place / "out", place / "model.pt"
    assert predict(source, output, weights, num_workers=0).returncode == 2
    [refused] = [row for row in rows_of(place).values() if row["status"] == "refused"]
    told = predict(source, output, weights, which=refused["row"])
    assert told.stdout.strip() == str(source.resolve() / "study_0000.nii.gz")
    (source / "study_0000.nii.gz").unlink()
    assert predict(source, output, weights, num_workers=0).returncode == 0
    with lock_folder(output, Shard()):
        second = predict(source, output, weights)
    assert (second.returncode, second.stderr.split(":")[1].strip()) == (3, "folder_in_use")
    assert predict(place / "nowhere", output, weights).returncode == 3


def test_mri_without_a_modality_is_refused_and_the_other_patients_are_done(tmp_path: Path) -> None:
    for index in (1, 2, 3):
        write_patient(make_patient(index, shape=(32, 32, 8)), tmp_path / "in", layout="brats2018", index=index)
    next((tmp_path / "in").glob("*_002/*_t1ce.nii*")).unlink()
    weights = write_mri_weights(tmp_path / "model.pt")
    ran = predict(tmp_path / "in", tmp_path / "out", weights, bundle="brats_attention_unet", num_workers=0)
    assert ran.returncode == 2, ran.stderr[-2000:]
    assert summary_of(tmp_path / "out") == {"studies": 3, "ok": 2, "refused": 1, "failed": 0, "pending": 0,
        "refused_by_reason": {"missing_modality": 1}, "failed_by_reason": {}}  # fmt: skip
    masks = sorted(file.name for file in (tmp_path / "out").glob("*.nii.gz"))
    assert masks == ["Phantom_001_mask.nii.gz", "Phantom_003_mask.nii.gz"]
