"""Runs over many studies: none stops the others, none is done twice, and what is written can be relied on."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pydicom
import pytest
import torch
from conftest import CT
from monai.bundle import ConfigParser
from monai.transforms import Orientationd
from pydicom.uid import generate_uid
from tiny_studies import TINY, damage, predict, summary_of, write_mri_weights, write_studies, write_weights

from custom_transforms.file_hash import file_sha256
from custom_transforms.refusal import RefusedError, SomeRefusedError, refusal_in
from custom_transforms.runs import study_record
from custom_transforms.runs.folder_lock import Shard, lock_folder
from custom_transforms.runs.ledger import Row, newest_rows, read_row, read_rows
from custom_transforms.runs.study_evaluator import StudyEvaluator
from custom_transforms.runs.study_name import RESERVED
from custom_transforms.runs.study_record import outputs_are_whole
from custom_transforms.save_mask import SaveImageMaskd
from custom_transforms.slice_quality import KeepGoodSlicesd
from data_lists.phantom_ct import make_head
from data_lists.phantom_dicom import write_series
from data_lists.phantom_layouts import write_patient
from data_lists.phantom_mri import make_patient


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with five studies in `in`, the first empty, and weights."""
    write_studies(tmp_path / "in", 5, damaged=1)
    write_weights(tmp_path / "model.pt")
    return tmp_path


def build(place: Path, items: Sequence[dict[str, object]] = (), **changes: object) -> StudyEvaluator:
    """Inference on a data list of these items, by default of all files."""
    items = items or [{"image": file.name} for file in sorted((place / "in").iterdir())]
    (place / "data_list.json").write_text(json.dumps({"test": items}))
    parser = ConfigParser()
    parser.read_config(str(CT / "configs" / "inference.json"))
    places = {"dataset_dir": place / "in", "data_list": place / "data_list.json", "output_dir": place / "out",
              "checkpoint": place / "model.pt", "bundle_root": CT, "models_dir": place}  # fmt: skip
    parser.update({name: str(path) for name, path in places.items()})
    parser.update({**TINY, "widths": [4, 4, 8, 8], "num_workers": 0, "device": "cpu", **changes})
    evaluator: StudyEvaluator = parser.get_parsed_content("evaluator")
    return evaluator


def rows_of(place: Path) -> dict[str, Row]:
    rows = (read_row(entry) for entry in newest_rows(place / "out").values())
    return {row["case"]: row for row in rows if "case" in row}


def run(place: Path, items: Sequence[dict[str, object]] = (), **changes: object) -> dict[str, Row]:
    with suppress(SomeRefusedError):
        build(place, items, **changes).run()
    return rows_of(place)


def done_since(place: Path, before: int) -> list[str]:
    rows = [row for path in (place / "out").glob("ledger*") for _, row in read_rows(path)]
    return sorted(row["case"] for row in rows[before:] if "case" in row)


def count_rows(place: Path) -> int:
    return sum(1 for path in (place / "out").glob("ledger*") for _ in read_rows(path))


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


def test_rerun_does_only_what_is_missing_or_changed(place: Path) -> None:
    run(place)
    before = count_rows(place)
    run(place)
    assert count_rows(place) == before
    os.utime(place / "in" / "study_0001.nii.gz", (1, 1))  # the same content
    (place / "out" / "study_0002.json").unlink()
    (place / "out" / "study_0003_region.nii.gz").write_bytes(b"half")
    shutil.copy(place / "in" / "study_0001.nii.gz", place / "in" / "study_0004.nii.gz")
    run(place)
    assert done_since(place, before) == ["study_0002", "study_0003", "study_0004"]


def named(**files: str) -> list[dict[str, object]]:
    """Items of a data list in which files have a case's name."""
    return [{"image": f"{file}.nii.gz", "case": case} for file, case in files.items()]


def are_whole(place: Path, rows: dict[str, Row]) -> bool:
    return all(row["status"] == "ok" and outputs_are_whole(place / "out", row["outputs"]) for row in rows.values())


def test_names_that_are_exchanged_or_new_in_the_list_are_so_in_the_results(place: Path) -> None:
    run(place, named(study_0001="anna", study_0002="bert", study_0003="cleo", study_0004="dora"))
    before = count_rows(place)
    rows = run(place, named(study_0001="bert", study_0002="anna", study_0003="cleo", study_0004="emil"))
    assert done_since(place, before) == ["anna", "bert", "emil"]
    assert sorted(rows) == ["anna", "bert", "cleo", "emil"]
    assert are_whole(place, rows)
    assert list((place / "out").glob("dora*")) == []


def test_shards_exchange_names_without_taking_each_others_results(place: Path) -> None:
    run(place, named(study_0001="anna", study_0002="bert"))
    exchanged = named(study_0001="bert", study_0002="anna")
    run(place, exchanged, shard="1/2")
    assert summary_of(place / "out")["pending"] == 1
    assert list((place / "out").glob("anna*")) == []
    rows = run(place, exchanged, shard="2/2")
    assert sorted(rows) == ["anna", "bert"]
    assert are_whole(place, rows)


def test_name_of_a_study_that_left_the_list_keeps_no_result_of_it(place: Path) -> None:
    run(place, named(study_0001="anna", study_0002="bert"))
    rows = run(place, named(study_0000="anna", study_0002="bert"))
    assert rows["anna"]["status"] == "refused"
    assert list((place / "out").glob("anna*")) == []
    assert rows["bert"]["status"] == "ok"


def test_refused_study_is_done_again_once_the_list_names_its_series(place: Path) -> None:
    study, other = place / "in" / "two_series", generate_uid()
    study.mkdir()
    write_series(make_head(1, matrix=64), study, name="TEST-0001")
    for file in sorted(study.iterdir()):
        image = pydicom.dcmread(file)
        image.SeriesNumber, image.SeriesInstanceUID, image.SOPInstanceUID = 77, other, generate_uid()
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.save_as(study / f"other_{file.name}")
    assert run(place, [{"image": "two_series"}])["two_series"]["code"] == "several_series"
    assert run(place, [{"image": "two_series", "series": 77}])["two_series"]["status"] == "ok"


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


def test_changed_weights_or_settings_change_every_result(place: Path) -> None:
    run(place)
    before = count_rows(place)
    run(place, window_width_hu=90)
    assert len(done_since(place, before)) == 5
    before = count_rows(place)
    weights = torch.load(place / "model.pt", weights_only=True)
    torch.save({name: weight * 2 for name, weight in weights.items()}, place / "model.pt")
    run(place, window_width_hu=90)
    assert len(done_since(place, before)) == 5


def test_result_of_a_study_that_is_refused_now_does_not_stay(place: Path) -> None:
    run(place)
    damage(place / "in" / "study_0002.nii.gz", "cut")
    assert run(place)["study_0002"]["status"] == "refused"
    assert list((place / "out").glob("study_0002*")) == []


def test_refused_study_is_retried_only_when_asked(place: Path) -> None:
    run(place)
    before = count_rows(place)
    run(place, retry_refused=True)
    assert done_since(place, before) == ["study_0000"]


def test_shards_do_every_study_once_and_the_last_sums_up(place: Path) -> None:
    for shard in ("2/3", "1/3"):
        run(place, shard=shard)
    assert summary_of(place / "out")["pending"] == 1
    rows = run(place, shard="3/3")
    assert sorted(rows) == [f"study_{number:04d}" for number in range(5)]
    assert done_since(place, 0) == sorted(rows)
    assert summary_of(place / "out")["pending"] == 0
    before = count_rows(place)
    run(place)  # another number of shards knows what the others did
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
