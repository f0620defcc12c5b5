"""Measure segmentations patient by patient, over all ranks, each patient once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from ignite.engine import Engine
from ignite.metrics import Metric

from custom_transforms.evidence.tumour_measures import TumourMeasures
from custom_transforms.ranks import of_all_ranks
from custom_transforms.tumour_counts import Counts, count_small_tumours, count_voxels, dice

Row = dict[str, Any]


class PatientRows(Metric):
    """A metric of a MONAI evaluator that sees each patient as a whole and keeps `rows` about it."""

    def reset(self) -> None:
        """Forget all patients."""
        self.rows: list[Row] = []

    def iteration_completed(self, engine: Engine) -> None:
        """Add the patients of a batch; Ignite would pass on the output, without the cases' names."""
        for patient in evaluated_patients(engine):
            self.update(patient)


class PatientMetrics(PatientRows):
    """Mean over patients and regions of Dice, with one row for each patient and region kept in `rows`.

    Args:
        regions: names of the channels.
        measures: adds its columns, and the lesions, to each row; for evaluation, since it takes seconds a patient.
        small_pixels: a tumour in a slice is small below this area in pixels.

    Counts are made on the device of the prediction; only a few numbers a patient travel between ranks.

    Raises (by `update`):
        ValueError: prediction and truth differ in shape, or see `TumourMeasures`.
    """

    def __init__(
        self, regions: Sequence[str], *, measures: TumourMeasures | None = None, small_pixels: int = 500
    ) -> None:
        self.regions = tuple(regions)
        self.measures = measures
        self.small_pixels = small_pixels
        super().__init__()

    def update(self, output: Mapping[str, Any]) -> None:
        """Add a patient: `pred` and `label` `(R, X, Y, S)`, 0 or 1, and `case`."""
        pred, truth = output["pred"], output["label"]
        whole = count_voxels(pred, truth)
        small = count_small_tumours(pred, truth, small_pixels=self.small_pixels)
        columns = {**_columns("", whole), **_columns("small_", small), "dice": dice(whole).tolist()}
        measured = self.measures(pred, truth) if self.measures else [{}] * len(self.regions)
        self.rows += [
            {"case": output["case"], "region": region, **{name: column[i] for name, column in columns.items()}, **more}
            for i, (region, more) in enumerate(zip(self.regions, measured, strict=True))
        ]

    def compute(self) -> float:
        """Return the mean Dice, 0..1, of all patients of all ranks; NaN without patients."""
        self.rows = one_a_patient(self.rows)
        return float(np.mean([row["dice"] for row in self.rows])) if self.rows else float("nan")


def evaluated_patients(engine: Engine) -> list[Row]:
    """Put together what went into a MONAI evaluator and what came out, one dictionary a patient."""
    batch, output = cast(list[Row], engine.state.batch), cast(list[Row], engine.state.output)  # decollated by MONAI
    return [{**given, **found} for given, found in zip(batch, output, strict=True)]


def one_a_patient(rows: list[Row]) -> list[Row]:
    """Gather the rows of all ranks, each case and region once, in order of case names."""
    rows = [row for part in of_all_ranks(rows) for row in part]
    by_key = {(row["case"], row.get("region", "")): row for row in rows}
    order = {key: position for position, key in enumerate(by_key)}
    return [by_key[key] for key in sorted(by_key, key=lambda key: (key[0], order[key]))]


def _columns(prefix: str, counts: Counts) -> dict[str, list[Any]]:
    return {prefix + name: column.tolist() for name, column in counts._asdict().items()}
