"""Preparing a data list: one refused study keeps no other waiting, and everything has its row."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.transforms import Compose

from custom_transforms.prepare_table import prepare_data_list
from custom_transforms.refusal import RefusedError


class MakeBag:
    """Two slices of four are kept; a study named `bad` is refused; each call leaves a line in a log."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        with self.log.open("a") as file:
            file.write(f"{item['case']}\n")
        if item["case"] == "bad":
            raise RefusedError.of("no_brain", "bad", expected="soft tissue enclosed by bone", got="none")
        dropped = json.dumps({"0": "too little brain: 1 cm2, at least 10", "3": "metal: 2 %, at most 1 %"})
        return {**item, "image": torch.ones(2, 1, 4, 4), "slice_index": torch.tensor([1, 2]), "dropped": dropped,
                "notes": "left out: 1 localizers"}  # fmt: skip


def prepare(folder: Path, cases: list[str], *, workers: int = 0) -> list[dict[str, str]]:
    items = [{"case": case, "image": case, "label": 0} for case in cases]
    (folder / "list.json").write_text(json.dumps({"training": items[:2], "test": items[2:]}))
    try:
        prepare_data_list(
            folder / "list.json", folds=["training", "validation", "test"], base_dir=folder,
            transform=Compose([MakeBag(folder / "log")]), cache_dir=folder / "cache", table=folder / "slices.csv",
            num_workers=workers)  # fmt: skip
    finally:
        rows = list(csv.DictReader((folder / "slices.csv").open())) if (folder / "slices.csv").exists() else []
    return rows


@pytest.mark.parametrize("workers", [0, 2])
def test_every_patient_has_a_row_with_reasons(tmp_path: Path, workers: int) -> None:
    rows = prepare(tmp_path, ["a", "b", "c"], workers=workers)
    assert [(row["fold"], row["case"]) for row in rows] == [("training", "a"), ("training", "b"), ("test", "c")]
    assert rows[0]["reasons"] == "1 too little brain; 1 metal"
    assert (rows[0]["slices"], rows[0]["kept"], rows[0]["dropped"]) == ("4", "2", "2")
    assert rows[0]["notes"] == "left out: 1 localizers"


def test_what_was_prepared_is_not_prepared_again(tmp_path: Path) -> None:
    first, second = prepare(tmp_path, ["a", "b", "c"]), prepare(tmp_path, ["a", "b", "c"])
    assert first == second
    assert sorted((tmp_path / "log").read_text().split()) == ["a", "b", "c"]


def test_damaged_bag_is_prepared_again(tmp_path: Path) -> None:
    first = prepare(tmp_path, ["a", "b", "c"])
    file = sorted((tmp_path / "cache").glob("*/image.npy"))[0]
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    assert prepare(tmp_path, ["a", "b", "c"]) == first
    assert file.read_bytes() == content
    assert len((tmp_path / "log").read_text().split()) == 4


def test_refused_study_keeps_no_other_waiting_and_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"refused_studies: slices.csv: expected 3 .* 1 that cannot, first no_brain"):
        prepare(tmp_path, ["a", "bad", "c"])
    rows = list(csv.DictReader((tmp_path / "slices.csv").open()))
    assert [row["refused"].partition(":")[0] for row in rows] == ["", "no_brain", ""]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_empty_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="empty_data_set: list.json: expected patients in training, validation"):
        prepare(tmp_path, [])
