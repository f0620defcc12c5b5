"""A run that is started again does what is missing or has changed, and leaves no result under a wrong name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pydicom
import pytest
import torch
from pydicom.uid import generate_uid
from small_runs import count_rows, done_since, rows_of, run, write_place
from tiny_studies import damage, summary_of

from custom_transforms.refusal import RefusedError
from custom_transforms.runs.ledger import Row
from custom_transforms.runs.study_record import outputs_are_whole
from custom_transforms.save_mask import SaveImageMaskd
from data_lists.phantom_ct import make_head
from data_lists.phantom_dicom import write_series


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return write_place(tmp_path)


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


def test_weights_replaced_on_the_way_end_the_run_before_a_row_is_written_with_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = SaveImageMaskd.__call__

    def retrain_meanwhile(self: SaveImageMaskd, data: Any) -> Any:
        if data["case"] == "study_0002":
            weights = torch.load(place / "model.pt", weights_only=True)
            torch.save({name: weight * 1 for name, weight in reversed(weights.items())}, place / "model.pt")
        return save(self, data)

    monkeypatch.setattr(SaveImageMaskd, "__call__", retrain_meanwhile)
    with pytest.raises(RefusedError, match=r"changed_weights: \.: expected the same weights and threshold"):
        run(place)
    before = rows_of(place)
    assert "study_0001" in before
    assert "study_0002" not in before
    monkeypatch.undo()
    after = run(place)
    assert len({row["weights_sha256"] for row in after.values()}) == 1
    assert summary_of(place / "out")["ok"] == 4
