"""Write what an evaluation of a classifier found: one row a patient, and a summary with intervals."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events

from custom_transforms.evidence.case_columns import case_columns
from custom_transforms.evidence.classifier_evidence import NO_DECISION, classifier_evidence
from custom_transforms.evidence.evidence_files import write_json, write_patients
from custom_transforms.evidence.write_report import write_report
from custom_transforms.file_hash import file_sha256
from custom_transforms.operating_point import UNDECIDED, OperatingPoint, read_operating_point
from custom_transforms.patient_scores import PatientScores

logger = logging.getLogger(__name__)


class ClassifierReportHandler:
    """Write `patients.csv`, `row_ids.csv`, `metrics.json`, figures and `report.html` when an evaluator has finished.

    Args:
        metric: the rows' source.
        output_dir: folder of the files.
        data_list: file of the patients, whose keys are the columns of sub-groups.
        fold: part of it that was measured.
        operating_point: file with the threshold. Where there is none, no decision is made, and a warning says so.
        weights: file of the network that the threshold must belong to.
        origin: `bundle`, its `version`, and `settings`, the pooling and preprocessing, which the threshold must
            belong to.
        measures: what the user asks for, `prevalences`, `fixed` and `subgroups`; see `classifier_evidence`.
        note: what the reader must know of the data, such as that they are synthetic; stands first in the file.
    """

    def __init__(
        self,
        metric: PatientScores,
        output_dir: str | Path,
        *,
        data_list: str | Path,
        fold: str,
        operating_point: str | Path,
        weights: str | Path,
        origin: Mapping[str, Any],
        measures: Mapping[str, Any] | None = None,
        note: str = "",
    ) -> None:
        self.metric = metric
        self.output_dir = Path(output_dir)
        self.data_list = data_list
        self.fold = fold
        self.operating_point = Path(operating_point)
        self.weights = weights
        self.origin = origin
        self.measures = dict(measures or {})
        self.note = note

    def attach(self, engine: Engine) -> None:
        """Look for threshold and columns before the first patient, and write when all were seen."""
        engine.add_event_handler(Events.STARTED, self.read_files)
        engine.add_event_handler(Events.COMPLETED, self)

    def read_files(self, engine: Engine) -> None:
        """Read the operating point, if there is one, and the columns of the sub-groups.

        Raises:
            RefusedError: see `read_operating_point`, `case_columns` and `classifier_evidence`; that an operating
                point is absent is no reason.
        """
        self.columns = case_columns(self.data_list, self.fold, self.measures.get("subgroups") or {})
        self.point: OperatingPoint | None = None
        if self.operating_point.is_file():
            self.point = read_operating_point(self.operating_point, self.weights, self.origin["settings"])
        else:
            logger.warning("%s: %s", self.operating_point.name, NO_DECISION)
        made_up = [{"label": place % 2, "prob": 0.5, **self.columns[case]} for place, case in enumerate(self.columns)]
        if made_up:  # a mistake in what is asked for is told now, and not after the last patient
            classifier_evidence(made_up, threshold=0.5, **self.measures)

    def __call__(self, engine: Engine) -> None:
        """Write the files, on the first rank."""
        if idist.get_rank() != 0 or not self.metric.rows:
            return
        threshold = self.point.threshold if self.point else None
        rows = [
            {**row, **_decided(row["prob"], self.point), **self.columns.get(row["case"], {})}
            for row in self.metric.rows
        ]
        evidence = classifier_evidence(rows, threshold=threshold, **self.measures)
        write_patients(self.output_dir, rows, self.fold)
        write_json(self.output_dir / "metrics.json", self._context() | evidence)
        write_report(self.output_dir)
        for warning in evidence["warnings"]:
            logger.warning("%s", warning)
        logger.info("wrote %s", self.output_dir / "metrics.json")

    def _context(self) -> dict[str, Any]:
        """Say what was measured on whom, and what was asked for."""
        context: dict[str, Any] = {"note": self.note} if self.note else {}
        context |= {"task": "classification", "bundle": self.origin["bundle"], "version": self.origin["version"]}
        context |= {"date": date.today().isoformat(), "fold": self.fold, "patients": len(self.metric.rows)}
        context["positives"] = sum(row["label"] for row in self.metric.rows)
        context |= {"data_list_sha256": file_sha256(self.data_list), "weights_sha256": file_sha256(self.weights)}
        context |= {"settings": self.origin["settings"], "measures": self.measures}
        context["operating_point"] = self.point.described() if self.point else None
        return context


def _decided(prob: float, point: OperatingPoint | None) -> dict[str, Any]:
    """Give a patient's `decision` by an operating point, and `calibrated_prob` where that has a map."""
    if point is None:
        return {"decision": UNDECIDED}
    calibrated = point.calibrated(prob)
    return {"decision": point.decide(prob)} | ({} if calibrated is None else {"calibrated_prob": calibrated})
