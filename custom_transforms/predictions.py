"""Write each patient's result, and one table of all of them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from custom_transforms.atomic_file import whole_file
from custom_transforms.patient_metrics import evaluated_patients
from custom_transforms.save_mask import file_stem

Record = Mapping[str, Any]


class PredictionsHandler:
    """After each patient write `<case>.json`, and `predictions.csv` with a row for each patient so far.

    Attach to the evaluator of inference, whose postprocessing leaves `record`. The table is whole at any moment, so
    that a run that is interrupted has lost nothing that was worked out.

    Args:
        output_dir: folder of the files.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Run after each patient."""
        engine.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write."""
        for patient in evaluated_patients(engine):
            record: Record = patient["record"]
            self.rows.append(table_row(record))
            with whole_file(self.output_dir / f"{file_stem(record['case'])}.json") as file:
                file.write_text(json.dumps(record, indent=1) + "\n")
        with whole_file(self.output_dir / "predictions.csv") as file, file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)


def table_row(record: Record) -> dict[str, Any]:
    """Take from a patient's record what stands in the table; slices are numbered from 0 at the feet."""
    reasons = Counter(dropped["reason"].partition(":")[0] for dropped in record["dropped"])
    return {
        "case": record["case"],
        "probability": record["patient_probability"],
        "decision": record["decision"],
        "slices_used": record["slices"]["used"],
        "slices_dropped": record["slices"]["dropped"],
        "reasons": "; ".join(f"{count} {reason}" for reason, count in reasons.items()),
        "carrying_slices": " ".join(str(number) for number in record["carrying_slices"]),
        "notes": record["notes"],
    }
