"""Learn from the training fold what a network's features look like, and from validation how far is too far."""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents

from custom_transforms.feature_statistics import FeatureStatistics, score
from custom_transforms.file_hash import file_sha256
from custom_transforms.layer_features import Features, LayerFeatures
from custom_transforms.packed_bundle import bundle_version
from custom_transforms.refusal import RefusedError
from custom_transforms.safe_weights import SAFETENSORS
from custom_transforms.shrunk_gaussian import ShrunkGaussian


def fit_feature_statistics(
    evaluator: SupervisedEvaluator,
    *,
    training: DataLoader,
    validation: DataLoader,
    layers: Sequence[str],
    abstain_rate: float,
    weights: str | Path,
    path: str | Path,
    bundle_root: str | Path,
    split: str = "validation",
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Run a trained network over both folds, and write the feature statistics of its training.

    Args:
        evaluator: of the network, which it loads when it starts; without postprocessing.
        training: studies that it was trained on, not augmented, one at a time.
        validation: studies that it was not trained on, one at a time; the limit comes from them alone.
        layers: names of the network's modules whose outputs are the features.
        abstain_rate: share of new studies of the same kind that may be flagged.
        weights: file of the network.
        path: the file that is written.
        bundle_root: folder of the bundle, whose version is noted.
        split: fold of the data list that `validation` is; not the test fold.
        settings: preprocessing; see `FeatureStatistics`.

    Raises:
        RefusedError: the split is the test fold, an impossible rate, or fewer than two training studies.
    """
    path, weights = Path(path), Path(weights)
    if split == "test":
        raise RefusedError.of("limit_from_test", path.name, expected="a choice on validation", got="test")
    if not 0 < abstain_rate < 1:
        raise RefusedError.of(
            "bad_rate", "abstain_rate", expected="a share, above 0 and below 1", got=str(abstain_rate)
        )
    if len(training) < 2:
        raise RefusedError.of(
            "too_few_studies", path.name, expected="2 training studies or more", got=str(len(training))
        )
    seen, others = (study_features(evaluator, loader, layers) for loader in (training, validation))
    gaussians = {layer: ShrunkGaussian.of([study[layer] for study in seen]) for layer in layers}
    reach = {
        layer: choose_limit([gaussian.distance(study[layer]) for study in others], abstain_rate)
        for layer, gaussian in gaussians.items()
    }
    twin, rank = weights.with_suffix(SAFETENSORS), limit_rank(len(others), abstain_rate)
    statistics = FeatureStatistics(
        gaussians=gaussians,
        reach=reach,
        limit=choose_limit([score(gaussians, reach, study) for study in others], abstain_rate),
        abstain_rate=abstain_rate,
        expected_rate=1 - rank / (len(others) + 1),
        training=len(seen),
        validation=len(others),
        split=split,
        date=datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        version=bundle_version(Path(bundle_root)),
        weights_sha256=file_sha256(weights),
        settings=dict(settings or {}),
        safetensors_sha256=file_sha256(twin) if twin.is_file() else "",
    )
    statistics.write(path)
    _tell(statistics, path)


def study_features(evaluator: SupervisedEvaluator, loader: DataLoader, layers: Sequence[str]) -> list[Features]:
    """Run an evaluator over studies, one at a time, and give the features of each."""
    features, found = LayerFeatures(layers), []
    evaluator.data_loader, evaluator.state.epoch_length = loader, len(loader)
    features.attach(evaluator.network)
    handler = evaluator.add_event_handler(IterationEvents.FORWARD_COMPLETED, lambda: found.append(features.take()))
    try:
        evaluator.run()
    finally:
        handler.remove()
        features.detach()
    return [study for study in found if study is not None]


def limit_rank(studies: int, rate: float) -> int:
    """Give the rank, from 1, of the validation score that is the limit: a new study exceeds it with at most this rate.

    Of so few that no rank does, the highest.

    Reference:
        Angelopoulos and Bates, Conformal Prediction: A Gentle Introduction, Foundations and Trends in Machine Learning
        16 (2023), section 1: the rank ceil((1 - rate) (n + 1)).
    """
    return min(studies, math.ceil(round((1 - rate) * (studies + 1), 9)))


def choose_limit(scores: Sequence[float], rate: float) -> float:
    """Give the score that at most this share of the studies exceeds; see `limit_rank`."""
    return float(np.sort(scores)[limit_rank(len(scores), rate) - 1])


def _tell(statistics: FeatureStatistics, path: Path) -> None:
    logger = logging.getLogger(__name__)
    logger.info("wrote %s: limit %.3f, from %d training and %d validation studies", path, statistics.limit,
                statistics.training, statistics.validation)  # fmt: skip
    if statistics.expected_rate > statistics.abstain_rate:
        told = "too few validation studies, %d: about %.1f %% of new ones will be flagged, where %.1f %% were allowed"
        logger.warning(told, statistics.validation, 100 * statistics.expected_rate, 100 * statistics.abstain_rate)
