"""Say of each study how far it is from what the network was trained on, and abstain where that is too far."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents

from custom_transforms.feature_statistics import FeatureStatistics, read_feature_statistics
from custom_transforms.layer_features import LayerFeatures
from custom_transforms.sampling_inferer import SamplingInferer

OUTSIDE = "outside of what the model was trained on"
SCORE, LIMIT = "outside_score", "outside_limit"  # keys of an evaluator's output, of a record, of the table


class OutsideScoreHandler:
    """Put `outside_score` and `outside_limit` into what an evaluator found of each study.

    The features are those of the pass that gives the result. Where there is no file of statistics, where another
    backend than torch runs the network, and where it is sampled, whose passes are those of changed networks, nothing
    is put there: the study was not checked. Without `record`, as of a segmentation, the study's table row gets both as
    well, and a note where it is outside.

    Args:
        statistics: file of the feature statistics.
        weights: file of the network that they must belong to.
        settings: preprocessing that they must belong to; see `FeatureStatistics`.

    Raises (when the evaluator starts):
        RefusedError: see `read_feature_statistics`.
        ValueError (with a batch): more than one study at a time, whose features cannot be told apart.
    """

    def __init__(self, statistics: str | Path, weights: str | Path, settings: Mapping[str, Any] | None = None) -> None:
        self.path = Path(statistics)
        self.weights = weights
        self.settings = settings
        self.statistics: FeatureStatistics | None = None
        self.features = LayerFeatures(())

    def attach(self, engine: SupervisedEvaluator) -> None:
        """Read when the evaluator starts, score between network and postprocessing, tell after it."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_STARTED, self.forget)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self)
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self.tell)
        engine.add_event_handler(Events.COMPLETED, self.stop)

    def start(self, engine: SupervisedEvaluator) -> None:
        """Read the statistics, where there are any, and collect the features that they are of."""
        self.stop()  # a run that broke off may have left the hooks
        self.statistics = None
        if self.path.is_file() and _is_sampled(engine.inferer):
            logging.getLogger(__name__).warning("not checked against %s: the network is sampled", self.path.name)
        elif self.path.is_file():
            self.statistics = read_feature_statistics(self.path, self.weights, self.settings)
            self.features = LayerFeatures([*self.statistics.gaussians])
            self.features.attach(engine.network)

    def forget(self) -> None:
        """Forget what a study has left whose pass broke off."""
        self.features.forget()

    def stop(self) -> None:
        """Leave the network alone."""
        self.features.detach()

    def __call__(self, engine: SupervisedEvaluator) -> None:
        """Score the study that has passed the network."""
        features = self.features.take()
        if self.statistics is None:
            return
        if features is None:
            logging.getLogger(__name__).warning("not checked against %s: the backend gives no features", self.path.name)
            self.statistics = None  # said once
            return
        if len(engine.state.output["image"]) != 1:
            raise ValueError(f"outside score: expected one study at a time, got {len(engine.state.output['image'])}")
        found = {SCORE: self.statistics.score(features), LIMIT: self.statistics.limit}
        engine.state.output |= {name: torch.tensor([value], dtype=torch.float64) for name, value in found.items()}

    def tell(self, engine: SupervisedEvaluator) -> None:
        """Leave the columns of the table where no record does."""
        for output in engine.state.output:
            if SCORE in output and "record" not in output:
                note = {"notes": OUTSIDE if is_outside(output) else ""}
                output["table"] = {SCORE: float(output[SCORE]), LIMIT: float(output[LIMIT]), **note}


def _is_sampled(inferer: object) -> bool:
    """Tell whether an inferer, or one that it wraps, gives samples."""
    while inferer is not None and not isinstance(inferer, SamplingInferer):
        inferer = getattr(inferer, "inferer", None)
    return inferer is not None


def is_outside(found: Mapping[Any, Any]) -> bool:
    """Tell whether a study was checked and is outside; a score that is no number is."""
    return SCORE in found and not float(found[SCORE]) <= float(found[LIMIT])


def with_outside(record: dict[str, Any], found: Mapping[Any, Any]) -> dict[str, Any]:
    """Add to a patient's record whether he is outside; then no decision is made, and a note says so.

    Args:
        record: with `decision` and `notes`.
        found: item with `outside_score` and `outside_limit`, unless it was not checked.
    """
    if SCORE not in found:
        return {**record, SCORE: None, LIMIT: None, "outside": "not checked"}
    record = {**record, SCORE: float(found[SCORE]), LIMIT: float(found[LIMIT]), "outside": "no"}
    if is_outside(found):
        notes = "; ".join(filter(None, [record["notes"], OUTSIDE]))
        record |= {"outside": "yes", "decision": f"none: {OUTSIDE}", "notes": notes}
    return record
