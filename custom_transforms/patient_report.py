"""Write what an evaluation found: a row for each patient and region, one for each lesion, and all statistics."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events

from custom_transforms.evidence.evidence_files import write_json, write_patients, write_table
from custom_transforms.evidence.origin import EvidenceOrigin
from custom_transforms.evidence.segmenter_evidence import segmenter_evidence
from custom_transforms.evidence.tumour_measures import LESIONS
from custom_transforms.evidence.tumour_strata import EDGES_ML, check_edges
from custom_transforms.evidence.write_report import write_report
from custom_transforms.patient_metrics import PatientMetrics, Row
from custom_transforms.threshold_baseline import ThresholdBaseline

LESION_COLUMNS = ("row", "region", "lesion", "volume_ml", "dice", "hd95_mm", "found", "counted")


class PatientReportHandler:
    """Write tables by row id, `row_ids.csv`, `metrics.json`, figures and `report.html` when an evaluator has finished.

    Args:
        metric: the rows' source.
        output_dir: folder of the files.
        fold: part of the data list that was measured.
        origin: the files behind the numbers; the default, None, leaves them out.
        baseline: a floor that is put beside the result.
        lesion_strata_ml: volumes between strata of lesions, rising.
        note: what the reader must know of the data, such as that they are synthetic; stands first in the file.

    Raises:
        ValueError: volumes of strata that do not rise, or one that is not above 0.
    """

    def __init__(
        self,
        metric: PatientMetrics,
        output_dir: str | Path,
        *,
        fold: str,
        origin: EvidenceOrigin | None = None,
        baseline: ThresholdBaseline | None = None,
        lesion_strata_ml: Sequence[float] = EDGES_ML,
        note: str = "",
    ) -> None:
        check_edges(lesion_strata_ml)
        self.metric = metric
        self.output_dir = Path(output_dir)
        self.fold = fold
        self.origin = origin
        self.baseline = baseline
        self.lesion_strata_ml = list(lesion_strata_ml)
        self.note = note

    def attach(self, engine: Engine) -> None:
        """Run when the evaluator has seen all patients."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the files, on the first rank."""
        if idist.get_rank() == 0 and self.metric.rows:
            rows, lesions = self._write_tables()
            found = segmenter_evidence(rows, lesions, edges_ml=self.lesion_strata_ml)
            write_json(self.output_dir / "metrics.json", {**self._context(), **found, **self._floor()})
            write_report(self.output_dir)
            logging.getLogger(__name__).info("wrote %s", self.output_dir / "metrics.json")

    def _write_tables(self) -> tuple[list[Row], list[Row]]:
        measured = self.metric.rows
        patients = [{name: cell for name, cell in row.items() if name != LESIONS} for row in measured]
        rows = write_patients(self.output_dir, patients, self.fold)
        lesions = [
            {"row": named["row"], "region": named["region"], **lesion}
            for named, row in zip(rows, measured, strict=True)
            for lesion in row.get(LESIONS, [])
        ]
        if self.metric.measures is not None:
            write_table(self.output_dir / "lesions.csv", lesions, columns=LESION_COLUMNS)
        return rows, lesions

    def _context(self) -> dict[str, Any]:
        """Give what the tables do not hold."""
        settings: dict[str, Any] = {"small_pixels": self.metric.small_pixels}
        if self.metric.measures is not None:
            settings |= {**self.metric.measures.settings(), "lesion_strata_ml": self.lesion_strata_ml}
        context: dict[str, Any] = {"note": self.note} if self.note else {}
        context |= {"task": "segmentation", **(self.origin.read() if self.origin else {}), "fold": self.fold}
        return {**context, "settings": settings}

    def _floor(self) -> dict[str, Any]:
        if self.baseline is None:
            return {}
        mean = float(np.mean([best["dice"] for best in self.baseline.best]))
        return {"best_single_threshold": {"mean_dice": mean, "regions": self.baseline.best}}
