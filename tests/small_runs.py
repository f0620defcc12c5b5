"""Runs of inference on five tiny studies, in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from conftest import CT
from monai.bundle import ConfigParser
from tiny_studies import TINY, write_studies, write_weights

from custom_transforms.refusal import SomeRefusedError
from custom_transforms.runs.ledger import Row, newest_rows, read_row, read_rows
from custom_transforms.runs.study_evaluator import StudyEvaluator


def write_place(folder: Path) -> Path:
    """A folder with five studies in `in`, the first empty, and weights."""
    write_studies(folder / "in", 5, damaged=1)
    write_weights(folder / "model.pt")
    return folder


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
