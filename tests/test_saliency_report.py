"""A report on where a classifier looked: pictures by row id, deletion for positive answers, and a word if in vain."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bright_spot import BrightSpot, spotted_slice
from matplotlib.image import imread
from monai.engines import SupervisedEvaluator
from torch.utils.data import DataLoader

from custom_transforms.deletion import Deletion
from custom_transforms.evidence.evidence_files import write_patients
from custom_transforms.patient_bag import BagsDataset, collate_bags
from custom_transforms.patient_pooling import EvidenceInferer
from custom_transforms.refusal import RefusedError
from custom_transforms.saliency_picture import SalientSlice, draw_saliency
from custom_transforms.saliency_report import SaliencyReportHandler

POSITIVE = {"anna": True, "bert": False, "carl": True, "dora": True}


def make_bag(item: dict[str, Any]) -> dict[str, Any]:
    """Four slices, numbered 5 to 8, of which number 7 has the spot where the patient is positive."""
    spots = [number == 7 and POSITIVE[item["case"]] for number in range(5, 9)]
    slices = [spotted_slice(spot=spot, seed=number) for number, spot in enumerate(spots)]
    return {**item, "image": torch.from_numpy(np.stack(slices))[:, None], "slice_index": torch.arange(5, 9)}


def explain(folder: Path, *, decisions: Sequence[str] = ("positive", "negative") * 2,
            evaluated: bytes = b"weights", **options: Any) -> None:  # fmt: skip
    """Write an evaluation of the four, if there are decisions, and explain it."""
    folder.mkdir(exist_ok=True)
    rows = [{"case": case, "label": int(spot), "prob": 0.7, "decision": decision}
            for (case, spot), decision in zip(POSITIVE.items(), decisions, strict=False)]  # fmt: skip
    if rows:
        write_patients(folder, rows, "test")
        about = {"task": "classification", "fold": "test", "weights_sha256": sha256(evaluated).hexdigest()}
        counts = {"patients": len(rows), "positives": sum(int(row["label"]) for row in rows)}
        (folder / "metrics.json").write_text(json.dumps({**about, **counts, "metrics": {}}))
    items = [{"case": case, "image": str(folder / case), "label": int(spot)} for case, spot in POSITIVE.items()]
    bags = BagsDataset(items, make_bag, None, bag_transform=dict)
    (folder / "model.pt").write_bytes(b"weights")
    network, epoch_length = BrightSpot(), options.pop("epoch_length", None)
    options = {"top_slices": 1, **options}  # pictures take most of the time
    handler = SaliencyReportHandler(network, bags, folder, deletion=Deletion(draws=3), weights=folder / "model.pt",
                                    fold="test", **options)  # fmt: skip
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(bags, collate_fn=collate_bags),
        network=network,
        inferer=EvidenceInferer(),
        epoch_length=epoch_length,
        val_handlers=[handler],
    ).run()


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "deletion.json").read_text())
    return content


def test_positive_answers_are_checked_and_everyone_is_drawn_by_row_id(tmp_path: Path) -> None:
    explain(tmp_path, decisions=["positive", "negative", "positive", "positive"], note="synthetic", version="0.1.0")
    pictures = sorted((tmp_path / "saliency").iterdir())
    assert [picture.name for picture in pictures] == [f"test-000{number}.png" for number in range(1, 5)]
    assert all(imread(picture).std() > 0.1 for picture in pictures)
    with (tmp_path / "deletion.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["row"] for row in rows} == {"test-0001", "test-0003", "test-0004"}
    assert {row["slice"] for row in rows} == {"7"}  # the slice that decides, by its number in the scan
    found = summary(tmp_path)
    assert (found["patients"], found["patients_drawn"], found["positive_by"]) == (3, 4, "decision")
    assert found["maps"]["evidence"]["finding"] == found["maps"]["grad_cam"]["finding"] == "matters"
    assert found["maps"]["evidence"]["difference"]["value"] > 0.2
    assert found["warnings"] == []
    assert (found["note"], found["fill"], found["draws"]) == ("synthetic", "mean", 3)
    written = (tmp_path / "deletion.csv").read_text() + (tmp_path / "deletion.json").read_text()
    assert not any(case in written for case in POSITIVE)


def test_nobody_positive_is_said_and_nothing_of_an_earlier_run_stays(tmp_path: Path) -> None:
    (tmp_path / "saliency").mkdir()
    for name in ("deletion.png", "deletion.csv", "saliency/test-0009.png"):
        (tmp_path / name).write_text("of an earlier run")
    explain(tmp_path, decisions=["negative"] * 4, epoch_length=1)
    found = summary(tmp_path)
    assert found["patients"] == 0
    assert found["maps"]["evidence"]["difference"]["value"] is None
    assert "evidence: too few patients: three patients at least are needed to tell" in found["warnings"]
    assert not list(tmp_path.glob("deletion.[pc]*"))
    assert [picture.name for picture in (tmp_path / "saliency").iterdir()] == ["test-0001.png"]


def test_without_decisions_the_answer_is_the_probability(tmp_path: Path) -> None:
    explain(tmp_path, decisions=[""] * 4, epoch_length=1)
    assert (summary(tmp_path)["patients"], summary(tmp_path)["positive_by"]) == (1, "probability of at least 0.5")


def test_the_first_patients_alone_can_be_explained_and_none_twice(tmp_path: Path) -> None:
    explain(tmp_path, epoch_length=2)
    assert (summary(tmp_path)["patients_drawn"], summary(tmp_path)["patients"]) == (2, 1)
    with pytest.raises(RefusedError, match="explained_patients: expected at most 4, as many as there are, got 5"):
        explain(tmp_path, epoch_length=5)


@pytest.mark.parametrize(
    ("decisions", "options", "message"),
    [
        ([], {}, "missing_evaluation: metrics.json: expected a folder that evaluating has written"),
        (["positive"] * 4, {"evaluated": b"others"}, "other_evaluation: metrics.json: expected an evaluation of these"),
        (["positive"], {}, "other_evaluation: row_ids.csv: expected the patients of this data list"),
        (["positive"] * 4, {"top_slices": 0}, "wrong_setting: top_slices: expected at least 1, got 0"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    tmp_path: Path, decisions: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        explain(tmp_path, decisions=decisions, **options)


def test_rows_are_the_slices_that_were_asked_for_and_a_map_that_says_nothing_is_named() -> None:
    window = np.where(spotted_slice() != 0, 0.5, 0)
    evidence = np.zeros((8, 8))
    evidence[2, 5] = 1
    figure = draw_saliency([SalientSlice(7, 0.98, window, evidence, np.zeros((8, 8)))] * 2, title="test-0001")
    words = [[text.get_text() for text in axes.texts] for axes in figure.axes[:6]]
    assert words == [["R"], ["R"], ["R", "the same all over"]] * 2
    assert [axes.get_ylabel() for axes in figure.axes[:6:3]] == ["slice 7\np 0.98"] * 2
