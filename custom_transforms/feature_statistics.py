"""What a network's features look like on the studies that it was trained on, and how far another study is from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from custom_transforms.atomic_file import whole_file
from custom_transforms.file_hash import file_sha256
from custom_transforms.layer_features import Features
from custom_transforms.refusal import RefusedError
from custom_transforms.shrunk_gaussian import ShrunkGaussian

KEY = "feature_statistics"  # that the metadata stand under
ARRAYS = tuple(field.name for field in fields(ShrunkGaussian))


@dataclass(frozen=True, kw_only=True)
class FeatureStatistics:
    """The features of the training studies, and the score above which a study is outside, chosen on validation studies.

    Attributes:
        gaussians: of each layer, of the training studies.
        reach: of each layer, the distance that the limit's rank has among the validation studies; it is the unit in
            which layers are compared.
        limit: a study with a higher score is outside.
        abstain_rate: share of new studies of the same kind that is to be flagged at most.
        expected_rate: share that is to be expected; above `abstain_rate` where there are too few validation studies.
        training: how many studies the Gaussians are of.
        validation: how many the limit is of.
        split: fold of the data list that these are; never the test fold.
        date: day of the fit, ISO 8601.
        version: of the bundle.
        weights_sha256: of the network's file, as its features are no other network's
        settings: and of no other preprocessing, in plain values.
        safetensors_sha256: of the same network as safetensors; empty where there is none.
    """

    gaussians: Mapping[str, ShrunkGaussian]
    reach: Mapping[str, float]
    limit: float
    abstain_rate: float
    expected_rate: float
    training: int
    validation: int
    split: str
    date: str
    version: str
    weights_sha256: str
    settings: Mapping[str, Any]
    safetensors_sha256: str = ""

    def score(self, features: Features) -> float:
        """Score a study by the layer in which it is farthest: 1 is as far as nearly all validation studies reach."""
        return score(self.gaussians, self.reach, features)

    def write(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all; what is no array stands in its metadata, as JSON."""
        from safetensors.numpy import save_file  # only where there are statistics

        rest = {name: value for name, value in vars(self).items() if name != "gaussians"}
        arrays = {
            f"{layer}/{name}": np.ascontiguousarray(value, np.float64)
            for layer, gaussian in self.gaussians.items()
            for name, value in asdict(gaussian).items()
        }
        with whole_file(path) as file:
            save_file(arrays, file, metadata={KEY: json.dumps(rest)})


def score(gaussians: Mapping[str, ShrunkGaussian], reach: Mapping[str, float], features: Features) -> float:
    """See `FeatureStatistics.score`.

    A network's first layers see noise, sharpness and contrast, the last see anatomy; one distance over all of them
    would drown the few channels of the first in the many of the last.
    """
    return max(gaussian.distance(features[layer]) / reach[layer] for layer, gaussian in gaussians.items())


def read_feature_statistics(
    path: str | Path, weights: str | Path, settings: Mapping[str, Any] | None = None
) -> FeatureStatistics:
    """Read feature statistics and check that they belong to a network.

    Args:
        path: file of the statistics.
        weights: file of the network.
        settings: those with which the network is used now; the default, None, compares none.

    Raises:
        RefusedError: damaged file, a limit chosen on the test fold, no weights or others, or other settings.
    """
    path, weights = Path(path), Path(weights)
    found = _read(path)
    if found.split == "test":
        raise RefusedError.of("limit_from_test", path.name, expected="a choice on validation", got="one on test")
    if not weights.is_file():
        raise RefusedError.of("missing_checkpoint", weights.name, expected="trained weights", got="no such file")
    if file_sha256(weights) not in (found.weights_sha256, found.safetensors_sha256):
        expected = f"feature statistics of {weights.name} (the run `fitting` writes them)"
        raise RefusedError.of("statistics_of_other_weights", path.name, expected=expected, got="another network's")
    for name, used in (settings or {}).items():
        if used != found.settings.get(name):
            expected = f"{name} {found.settings.get(name)}, with which the statistics were made"
            raise RefusedError.of("statistics_of_other_settings", path.name, expected=expected, got=str(used))
    return found


def _read(path: Path) -> FeatureStatistics:
    from safetensors import SafetensorError, safe_open  # only where there are statistics

    try:
        with safe_open(path, "numpy") as file:
            rest = json.loads(file.metadata()[KEY])
            gaussians = {
                layer: ShrunkGaussian(**{name: file.get_tensor(f"{layer}/{name}") for name in ARRAYS})
                for layer in rest["reach"]
            }
        return FeatureStatistics(gaussians=gaussians, **rest)
    except (OSError, SafetensorError, TypeError, ValueError, KeyError) as error:
        expected = "feature statistics as the run `fitting` writes them"
        raise RefusedError.of("damaged_statistics", path.name, expected=expected, got="something else") from error
