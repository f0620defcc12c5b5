"""The threshold that turns a probability into a decision, with where it comes from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from custom_transforms.atomic_file import whole_file
from custom_transforms.file_hash import file_sha256
from custom_transforms.refusal import RefusedError

FILE = "operating_point.json"


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A threshold and its origin.

    Attributes:
        threshold: patients with at least this probability, 0..1, are decided positive.
        rule: how it was chosen.
        split: fold of the data list that it was chosen on; never the test fold.
        patients: how many of them.
        positives: how many of these had the disease.
        date: day of the choice, ISO 8601.
        version: of the bundle.
        weights_sha256: of the network's file, because a threshold belongs to one network
        settings: and to one way of preparing and pooling slices, in plain values.
        safetensors_sha256: of the same network as safetensors; empty where there is none.
    """

    threshold: float
    rule: str
    split: str
    patients: int
    positives: int
    date: str
    version: str
    weights_sha256: str
    settings: Mapping[str, Any]
    safetensors_sha256: str = ""

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with whole_file(path) as file:
            file.write_text(json.dumps(asdict(self), indent=1) + "\n")


def read_operating_point(
    path: str | Path, weights: str | Path, settings: Mapping[str, Any] | None = None
) -> OperatingPoint:
    """Read an operating point and check that it belongs to a network.

    Args:
        path: file of the operating point.
        weights: file of the network.
        settings: those with which the network is used now; the default, None, compares none.

    Raises:
        RefusedError: absent or damaged file, a threshold outside 0..1, a choice on the test fold, no weights or others,
            or other settings.
    """
    path, weights = Path(path), Path(weights)
    try:
        point = OperatingPoint(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        expected = "the threshold that training chose on the validation fold"
        raise RefusedError.of("missing_operating_point", path.name, expected=expected, got="no such file") from error
    except (TypeError, ValueError) as error:
        expected = "an operating point as training writes it"
        raise RefusedError.of("damaged_operating_point", path.name, expected=expected, got="something else") from error
    if not isinstance(point.threshold, float) or not 0 <= point.threshold <= 1 or not math.isfinite(point.threshold):
        raise RefusedError.of(
            "damaged_operating_point", path.name, expected="a threshold, 0..1", got=str(point.threshold)
        )
    if point.split == "test":
        raise RefusedError.of("threshold_from_test", path.name, expected="a choice on validation", got="one on test")
    if not weights.is_file():
        raise RefusedError.of("missing_checkpoint", weights.name, expected="trained weights", got="no such file")
    if file_sha256(weights) not in (point.weights_sha256, point.safetensors_sha256):
        expected = f"a threshold chosen for {weights.name}"
        raise RefusedError.of("operating_point_of_other_weights", path.name, expected=expected, got="another network's")
    for name, used in (settings or {}).items():
        if used != point.settings.get(name):
            expected = f"{name} {point.settings.get(name)}, with which the threshold was chosen"
            raise RefusedError.of("operating_point_of_other_settings", path.name, expected=expected, got=str(used))
    return point
