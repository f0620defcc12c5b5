"""Patients whose files cannot be used: named, all of them, and left out where that is allowed."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from custom_transforms.patient_bag import BagsDataset
from custom_transforms.patient_sampling import BalancedPatientSampler
from custom_transforms.prepared_items import PreparedItems
from custom_transforms.refusal import RefusedError
from custom_transforms.require_data import require_data


def make_bag(item: dict[str, Any]) -> dict[str, Any]:
    if item.get("bad"):
        try:
            raise RefusedError.of("constant_image", "a.dcm", expected="contrast", got="one value")
        except RefusedError as error:  # as MONAI does
            raise RuntimeError("applying transform") from error
    return {"image": torch.full((3, 1, 2, 2), float(item["number"])), "slice_index": np.arange(3)}


def bags(folder: Path, *, bad: tuple[int, ...] = (), name: str = "p") -> BagsDataset:
    data = [
        {"image": f"{name}{i}", "case": f"{name}{i}", "number": i, "label": i % 2, **({"bad": 1} if i in bad else {})}
        for i in range(6)
    ]
    return BagsDataset(data, make_bag, folder / "cache", bag_transform=dict)


@pytest.mark.parametrize("workers", [0, 2])
def test_every_refused_patient_is_named_before_the_run_ends(
    tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    folds = {"training": bags(tmp_path, bad=(1, 4)), "validation": bags(tmp_path, bad=(0,), name="v")}
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(
            RefusedError, match=r"refused_studies: .* at most 2 .*got 3, the first: constant_image: .*\(case p1\)$"
        ),
    ):
        require_data(folds, "list.json", num_workers=workers, max_refused=2, refused_table=tmp_path / "refused.csv")
    assert [case for case in ("p1", "p4", "v0") if f"case {case}: constant_image: a.dcm" in caplog.text] == [
        "p1",
        "p4",
        "v0",
    ]
    with (tmp_path / "refused.csv").open() as file:
        assert [(row["fold"], row["case"]) for row in csv.DictReader(file)] == [
            ("training", "p1"), ("training", "p4"), ("validation", "v0")]  # fmt: skip


def test_a_few_are_left_out_of_everything(tmp_path: Path) -> None:
    training = bags(tmp_path, bad=(1, 4))
    require_data({"training": training}, "list.json", max_refused=2, refused_table=tmp_path / "refused.csv")
    assert (tmp_path / "refused.csv").is_file()
    assert [training[i]["case"] for i in range(len(training))] == ["p0", "p2", "p3", "p5"]
    assert [float(training[i]["image"][0, 0, 0, 0]) for i in range(4)] == [0, 2, 3, 5]
    assert sorted(BalancedPatientSampler(training)) == [0, 1, 2, 3]
    require_data({"training": training}, "list.json", refused_table=tmp_path / "refused.csv")
    assert not (tmp_path / "refused.csv").exists()  # it would tell of an earlier run


def test_first_weights_do_not_depend_on_what_was_prepared_already(tmp_path: Path) -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(1)
        require_data({"training": bags(tmp_path)}, "list.json", num_workers=1)
        drawn.append(torch.rand(1).item())
    torch.manual_seed(1)
    assert drawn == [torch.rand(1).item()] * 2


def test_fold_of_which_nobody_is_left_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("{}")
    with pytest.raises(RefusedError, match="empty_data_set: list.json: .* in 'training', got 0"):
        require_data({"training": bags(tmp_path, bad=tuple(range(6)))}, tmp_path / "list.json", max_refused=9)


@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_damaged_prepared_files_are_named_and_made_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    training = bags(tmp_path)
    training.prepare()
    file = training.folder(3) / "image.npy"
    content = file.read_bytes()
    file.unlink() if damage == "gone" else file.write_bytes(content[:-8] if damage == "cut" else b"")
    with caplog.at_level(logging.WARNING):
        assert float(training[3]["image"].mean()) == 3
    assert "damaged prepared files: case p3 is prepared anew" in caplog.text
    assert file.read_bytes() == content
    assert len(list((tmp_path / "cache").iterdir())) == 6


def big(item: dict[str, Any]) -> dict[str, Any]:
    np.ones(400_000_000, dtype=np.uint8)  # 400 MB for a moment: more than other tests have left over to use again
    return make_bag(item)


@pytest.mark.parametrize("workers", [0, 3])
def test_needs_are_told_before_the_work_and_too_little_is_refused(
    tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared() -> list[PreparedItems]:
        fold = bags(tmp_path / str(len(list(tmp_path.iterdir()))))
        fold.transform = big
        return [fold]

    with caplog.at_level(logging.INFO):
        require_data({"training": prepared()[0]}, "list.json", num_workers=workers)
    assert "6 patients to prepare: about" in caplog.text
    monkeypatch.setattr("custom_transforms.resources.available_memory_bytes", lambda: 200_000_000 * max(1, workers))
    with pytest.raises(RefusedError, match=f"too_little_memory: {max(1, workers)} worker"):
        require_data({"training": prepared()[0]}, "list.json", num_workers=workers)
    monkeypatch.setattr("custom_transforms.resources.available_memory_bytes", lambda: None)
    monkeypatch.setattr("custom_transforms.resources.free_disk_bytes", lambda folder: 100)
    with pytest.raises(RefusedError, match="too_little_disk: cache: expected .* kB of free disk, got 0.1 kB"):
        require_data({"training": prepared()[0]}, "list.json", num_workers=workers)
