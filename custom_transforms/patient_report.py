"""Write what an evaluation found: one row a patient and region, and a summary with intervals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events
from numpy.typing import NDArray

from custom_transforms.evidence.evidence_files import write_json, write_patients
from custom_transforms.evidence.intervals import Estimate, patient_interval
from custom_transforms.evidence.write_report import write_report
from custom_transforms.patient_metrics import PatientMetrics, Row
from custom_transforms.threshold_baseline import ThresholdBaseline

Array = NDArray[np.float64]


def _ratio(numerator: Callable[..., Array], denominator: Callable[..., Array]) -> Callable[..., Array]:
    def pooled(*counts: Array, axis: int) -> Array:
        sums = [count.sum(axis) for count in counts]
        with np.errstate(invalid="ignore", divide="ignore"):
            return numerator(*sums) / denominator(*sums)

    return pooled


# Pooled over the voxels of all patients, as published for the system that this bundle follows; of tp, fp, fn, tn.
POOLED = {
    "dice": _ratio(lambda tp, fp, fn, tn: 2 * tp, lambda tp, fp, fn, tn: 2 * tp + fp + fn),
    "iou": _ratio(lambda tp, fp, fn, tn: tp, lambda tp, fp, fn, tn: tp + fp + fn),
    "precision": _ratio(lambda tp, fp, fn, tn: tp, lambda tp, fp, fn, tn: tp + fp),
    "recall": _ratio(lambda tp, fp, fn, tn: tp, lambda tp, fp, fn, tn: tp + fn),
    "accuracy": _ratio(lambda tp, fp, fn, tn: tp + tn, lambda tp, fp, fn, tn: tp + fp + fn + tn),
}


def summarise(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Estimate every metric of some rows, one row a patient, each with its 95 % interval over patients.

    Args:
        rows: as `PatientMetrics.rows`, of one region.

    Returns:
        `mean_dice`, `mean_hd95_mm` and `median_hd95_mm` if measured, `pooled_…`, and `pooled_small_tumour_dice`.
    """

    def column(name: str) -> Array:
        return np.array([row[name] for row in rows], dtype=np.float64)

    found = {"mean_dice": patient_interval([column("dice")], np.mean)}
    if rows and "hd95_mm" in rows[0]:
        found["mean_hd95_mm"] = patient_interval([column("hd95_mm")], np.mean)
        found["median_hd95_mm"] = patient_interval([column("hd95_mm")], np.median)
    counts = [column(name) for name in ("tp", "fp", "fn", "tn")]
    small = [column(f"small_{name}") for name in ("tp", "fp", "fn", "tn")]
    found |= {f"pooled_{name}": patient_interval(counts, statistic) for name, statistic in POOLED.items()}
    found["pooled_small_tumour_dice"] = patient_interval(small, POOLED["dice"])
    return found


class PatientReportHandler:
    """Write `patients.csv`, `row_ids.csv` and `metrics.json` when an evaluator has finished.

    Args:
        metric: the rows' source.
        output_dir: folder of the files.
        fold: part of the data list that was measured.
        baseline: a floor that is put beside the result.
        note: what the reader must know of the data, such as that they are synthetic; stands first in the file.
    """

    def __init__(
        self,
        metric: PatientMetrics,
        output_dir: str | Path,
        *,
        fold: str,
        baseline: ThresholdBaseline | None = None,
        note: str = "",
    ) -> None:
        self.metric = metric
        self.output_dir = Path(output_dir)
        self.fold = fold
        self.baseline = baseline
        self.note = note

    def attach(self, engine: Engine) -> None:
        """Run when the evaluator has seen all patients."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the files, on the first rank."""
        if idist.get_rank() == 0 and self.metric.rows:
            write_patients(self.output_dir, self.metric.rows, self.fold)
            write_json(self.output_dir / "metrics.json", self._summary())
            write_report(self.output_dir)
            logging.getLogger(__name__).info("wrote %s", self.output_dir / "metrics.json")

    def _summary(self) -> dict[str, Any]:
        rows = self.metric.rows
        regions = {name: [row for row in rows if row["region"] == name] for name in self.metric.regions}
        by_case: dict[str, list[float]] = {}
        for row in rows:
            by_case.setdefault(row["case"], []).append(row["dice"])
        summary: dict[str, Any] = {"note": self.note} if self.note else {}
        summary |= {"task": "segmentation", "fold": self.fold, "patients": len(by_case)}
        mean_dice = patient_interval([[np.mean(values) for values in by_case.values()]], np.mean)
        summary["metrics"] = {"mean_dice": mean_dice}
        summary["regions"] = {name: summarise(part) for name, part in regions.items()}
        if self.baseline is not None:
            mean = float(np.mean([best["dice"] for best in self.baseline.best]))
            summary["best_single_threshold"] = {"mean_dice": mean, "regions": self.baseline.best}
        return summary
