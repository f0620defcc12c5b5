"""Write each patient's result, and give the run's table its row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ignite.engine import Engine
from monai.engines.utils import IterationEvents

from custom_transforms.atomic_file import whole_file
from custom_transforms.file_stem import file_stem
from custom_transforms.operating_point import VERSION
from custom_transforms.outside_score import LIMIT, SCORE
from custom_transforms.patient_metrics import evaluated_patients

Record = Mapping[str, Any]


class PredictionsHandler:
    """After each patient write `<case>.json`, and leave `table`, the patient's row of `predictions.csv`.

    Attach to the evaluator of inference, whose postprocessing leaves `record`.

    Args:
        output_dir: folder of the files.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Run after the postprocessing of each patient."""
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write."""
        outputs = cast(list[dict[str, Any]], engine.state.output)
        for patient, output in zip(evaluated_patients(engine), outputs, strict=True):
            record: Record = patient["record"]
            with whole_file(self.output_dir / f"{file_stem(record['case'])}.json") as file:
                file.write_text(json.dumps(record, indent=1) + "\n")
            output["table"] = table_row(record)


def table_row(record: Record) -> dict[str, Any]:
    """Take from a patient's record what stands in the table; slices are numbered from 0 at the feet.

    Cells are empty (None) without an operating point; `calibrated_probability` also where it has no map.
    """
    point = record["operating_point"] or {}
    reasons = Counter(dropped["reason"].partition(":")[0] for dropped in record["dropped"])
    checked = {name: record[name] for name in (SCORE, LIMIT) if record.get(name) is not None}
    return {
        "case": record["case"],
        "probability": record["patient_probability"],
        **{name: record[name] for name in ("samples", "spread", "samples_low", "samples_high") if name in record},
        "calibrated_probability": record["calibrated_probability"],
        "decision": record["decision"],
        "threshold": point.get("threshold"),
        "operating_point_version": point.get(VERSION),
        **checked,
        "slices_used": record["slices"]["used"],
        "slices_dropped": record["slices"]["dropped"],
        "reasons": "; ".join(f"{count} {reason}" for reason, count in reasons.items()),
        "carrying_slices": " ".join(str(number) for number in record["carrying_slices"]),
        "notes": record["notes"],
        **({"dicom": record["dicom"]} if "dicom" in record else {}),
    }
