"""Choose the threshold of the best model, on the validation fold and on no other."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from custom_transforms.file_hash import file_sha256
from custom_transforms.newest_checkpoint import previous
from custom_transforms.operating_point import OperatingPoint, read_operating_point
from custom_transforms.patient_scores import PatientScores
from custom_transforms.refusal import RefusedError
from custom_transforms.safe_weights import SAFETENSORS


def best_f1_point(metric: PatientScores, weights: Path, *, origin: Mapping[str, Any]) -> OperatingPoint:
    """Give the operating point of a validation, for a file that holds the network that was validated.

    Args:
        metric: see `OperatingPointHandler`.
        weights: the file.
        origin: `split`, `version` and `settings`; see `OperatingPoint`.
    """
    twin = weights.with_suffix(SAFETENSORS)
    return OperatingPoint(
        threshold=metric.threshold,
        rule="best F1",
        patients=len(metric.rows),
        positives=sum(row["label"] for row in metric.rows),
        date=datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        weights_sha256=file_sha256(weights),
        safetensors_sha256=file_sha256(twin) if twin.is_file() else "",
        **origin,
    )


class OperatingPointHandler:
    """Choose the threshold of a new best model on the patients that it was validated on, and write it beside it.

    Attach after `BestModelHandler`.

    Args:
        metric: rows of the validation, and the threshold with the best F1.
        weights: file of the best model.
        path: file of the operating point.
        split: fold of the data list that the metric sees; not the test fold.
        origin: `version` of the bundle, and `settings`, with which the network is used; see `OperatingPoint`.

    Raises (when training starts):
        RefusedError: `threshold_from_test`, the split is the test fold.
    """

    def __init__(
        self,
        metric: PatientScores,
        weights: str | Path,
        path: str | Path,
        *,
        split: str,
        origin: Mapping[str, Any],
    ) -> None:
        self.metric = metric
        self.weights = Path(weights)
        self.path = Path(path)
        self.split = split
        self.origin = origin

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run when the trainer starts and at the end of each epoch."""
        engine.add_event_handler(Events.STARTED, self.refuse_test_fold)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def refuse_test_fold(self, engine: SupervisedTrainer) -> None:
        """Stop a training that would choose its model and its threshold on the test fold.

        Raises:
            RefusedError: see above.
        """
        if self.split == "test":
            raise RefusedError.of("threshold_from_test", self.path.name, expected="a choice on validation", got="test")

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Write the file, on the first rank, if this epoch's model is the best so far."""
        if engine.state.best_score_epoch != engine.state.epoch or idist.get_rank() != 0:
            return
        self._keep_of_previous_model()
        origin = {"split": self.split, **self.origin}
        best_f1_point(self.metric, self.weights, origin=origin).write(self.path)
        logging.getLogger(__name__).info("threshold %.4f, of the best F1 on validation", self.metric.threshold)

    def _keep_of_previous_model(self) -> None:
        """Where `BestModelHandler` has kept an earlier run's model, keep its operating point beside it."""
        model = previous(self.weights)
        with suppress(RefusedError):
            if self.path.is_file() and model.is_file():
                read_operating_point(self.path, model).write(previous(self.path))
