"""Choose the threshold of the best model, on the validation fold and on no other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from custom_transforms.evidence.choose_point import choose_point
from custom_transforms.file_hash import file_sha256
from custom_transforms.newest_checkpoint import previous
from custom_transforms.operating_point import OperatingPoint, read_operating_point, require_choosable
from custom_transforms.patient_scores import PatientScores
from custom_transforms.refusal import RefusedError
from custom_transforms.safe_weights import SAFETENSORS


def best_f1_point(metric: PatientScores, weights: Path, *, origin: Mapping[str, Any]) -> OperatingPoint:
    """Give the operating point of a validation, for a file that holds the network that was validated.

    Calibration is left to `scripts/calibrate.py`: a map that is fitted anew at each epoch would change probabilities
    without anyone having asked for it.

    Args:
        metric: see `OperatingPointHandler`.
        weights: the file.
        origin: `split`, `data_list`, `version` and `settings`; see `OperatingPointHandler`.

    Raises:
        RefusedError: see `choose_point`.
    """
    twin, data_list = weights.with_suffix(SAFETENSORS), Path(origin["data_list"])
    hashes = {
        "weights_sha256": file_sha256(weights),
        "safetensors_sha256": file_sha256(twin) if twin.is_file() else "",
        "data_list_sha256": file_sha256(data_list) if data_list.is_file() else "",
    }
    named = {name: origin[name] for name in ("split", "version", "settings")}
    labels, probs = ([row[key] for row in metric.rows] for key in ("label", "prob"))
    return choose_point(labels, probs, rule="best-f1", calibration="none", origin=named | hashes)


class OperatingPointHandler:
    """Choose the threshold of a new best model on the patients that it was validated on, and write it beside it.

    Attach after `BestModelHandler`.

    Args:
        metric: rows of the validation.
        weights: file of the best model.
        path: file of the operating point.
        origin: `split`, fold of the data list that the metric sees, not the test or the training fold; `data_list`,
            its file, which may be absent; `version` of the bundle; and `settings`, with which the network is used.

    Raises (when training starts):
        RefusedError: `threshold_from_test` or `threshold_from_training`, by the split.
    """

    def __init__(
        self,
        metric: PatientScores,
        weights: str | Path,
        path: str | Path,
        *,
        origin: Mapping[str, Any],
    ) -> None:
        self.metric = metric
        self.weights = Path(weights)
        self.path = Path(path)
        self.origin = origin

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run when the trainer starts and at the end of each epoch."""
        engine.add_event_handler(Events.STARTED, self.refuse_fold)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def refuse_fold(self, engine: SupervisedTrainer) -> None:
        """Stop a training that would choose its model and its threshold on the test or the training fold.

        Raises:
            RefusedError: see above.
        """
        require_choosable(self.origin["split"], self.path.name)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Write the file, on the first rank, if this epoch's model is the best so far."""
        if engine.state.best_score_epoch != engine.state.epoch or idist.get_rank() != 0:
            return
        self._keep_of_previous_model()
        point = best_f1_point(self.metric, self.weights, origin=self.origin)
        point.write(self.path)
        logging.getLogger(__name__).info("threshold %.4f, of the best F1 on %s", point.threshold, point.split)

    def _keep_of_previous_model(self) -> None:
        """Where `BestModelHandler` has kept an earlier run's model, keep its operating point beside it."""
        model = previous(self.weights)
        with suppress(RefusedError):
            if self.path.is_file() and model.is_file():
                read_operating_point(self.path, model).write(previous(self.path))
