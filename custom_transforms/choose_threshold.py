"""Choose the threshold of the best model, on the validation fold and on no other."""

from __future__ import annotations

import datetime
import logging
from pathlib import Path

import ignite.distributed as idist
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from custom_transforms.file_hash import file_sha256
from custom_transforms.operating_point import OperatingPoint
from custom_transforms.patient_scores import PatientScores


class OperatingPointHandler:
    """Choose the threshold of a new best model on the patients that it was validated on, and write it beside it.

    Attach after `BestModelHandler`.

    Args:
        metric: rows of the validation, and the threshold with the best F1.
        weights: file of the best model.
        path: file of the operating point.
        version: of the bundle.
    """

    def __init__(self, metric: PatientScores, weights: str | Path, path: str | Path, *, version: str) -> None:
        self.metric = metric
        self.weights = Path(weights)
        self.path = Path(path)
        self.version = version

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run at the end of each epoch."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Write the file, on the first rank, if this epoch's model is the best so far."""
        if engine.state.best_score_epoch != engine.state.epoch or idist.get_rank() != 0:
            return
        OperatingPoint(
            threshold=self.metric.threshold,
            rule="best F1",
            split="validation",
            patients=len(self.metric.rows),
            positives=sum(row["label"] for row in self.metric.rows),
            date=datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
            version=self.version,
            weights_sha256=file_sha256(self.weights),
        ).write(self.path)
        logging.getLogger(__name__).info("threshold %.4f, of the best F1 on validation", self.metric.threshold)
