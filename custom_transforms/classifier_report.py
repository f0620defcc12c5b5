"""Write what an evaluation of a classifier found: one row a patient, and a summary with intervals."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events

from custom_transforms.evidence.evidence_files import write_json, write_patients
from custom_transforms.evidence.intervals import Estimate, patient_interval
from custom_transforms.operating_point import read_operating_point
from custom_transforms.patient_metrics import Row
from custom_transforms.patient_scores import OF_DECISIONS, OF_PROBS, PatientScores


def summarise_scores(rows: Sequence[Row], threshold: float) -> dict[str, Estimate]:
    """Estimate every measure, each with its 95 % interval over patients.

    Args:
        rows: with `label`, 0 or 1, and `prob`, 0..1; one a patient.
        threshold: patients at or above it are decided positive.
    """
    labels, probs = (np.array([row[key] for row in rows], dtype=np.float64) for key in ("label", "prob"))
    decisions = (probs >= threshold).astype(np.float64)
    found = {name: patient_interval([labels, probs], measure) for name, measure in OF_PROBS.items()}
    return found | {name: patient_interval([labels, decisions], measure) for name, measure in OF_DECISIONS.items()}


class ClassifierReportHandler:
    """Write `patients.csv`, `row_ids.csv` and `metrics.json` when an evaluator has finished.

    Args:
        metric: the rows' source.
        output_dir: folder of the files.
        operating_point: file with the threshold.
        weights: file of the network that the threshold must belong to.
        settings: pooling and preprocessing that it must belong to; see `OperatingPoint`.
        fold: part of the data list that was measured; stands in the summary.
        note: what the reader must know of the data, such as that they are synthetic; stands first in the file.
    """

    def __init__(
        self,
        metric: PatientScores,
        output_dir: str | Path,
        *,
        operating_point: str | Path,
        weights: str | Path,
        settings: Mapping[str, Any] | None = None,
        fold: str,
        note: str = "",
    ) -> None:
        self.metric = metric
        self.output_dir = Path(output_dir)
        self.operating_point = operating_point
        self.weights = weights
        self.settings = settings
        self.fold = fold
        self.note = note

    def attach(self, engine: Engine) -> None:
        """Look for the threshold before the first patient, and write when all were seen."""
        engine.add_event_handler(Events.STARTED, self.read_threshold)
        engine.add_event_handler(Events.COMPLETED, self)

    def read_threshold(self, engine: Engine) -> None:
        """Read the operating point.

        Raises:
            RefusedError: see `read_operating_point`.
        """
        self.point = read_operating_point(self.operating_point, self.weights, self.settings)

    def __call__(self, engine: Engine) -> None:
        """Write the files, on the first rank."""
        rows = self.metric.rows
        if idist.get_rank() != 0 or not rows:
            return
        named = [{**row, "decision": _decision(row["prob"], self.point.threshold)} for row in rows]
        write_patients(self.output_dir, named, self.fold)
        summary: dict[str, Any] = {"note": self.note} if self.note else {}
        summary |= {"task": "classification", "fold": self.fold, "patients": len(rows)}
        summary["positives"] = sum(row["label"] for row in rows)
        summary["metrics"] = summarise_scores(rows, self.point.threshold)
        summary["operating_point"] = self.point.described()
        write_json(self.output_dir / "metrics.json", summary)
        logging.getLogger(__name__).info("wrote %s", self.output_dir / "metrics.json")


def _decision(prob: float, threshold: float) -> str:
    return "positive" if prob >= threshold else "negative"
