"""The operating point: the threshold that turns a probability into a decision, and all that it comes from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from custom_transforms.atomic_file import whole_file
from custom_transforms.evidence.calibration_map import Calibration, apply_calibration, require_calibration
from custom_transforms.file_hash import file_sha256
from custom_transforms.refusal import RefusedError

VERSION = "operating_point_version"
UNDECIDED = "none: no operating point"  # in the place of a decision
FORBIDDEN = ("training", "test")  # the one was learnt, the other is what results are reported on


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A threshold, a calibration map, and their origin.

    The threshold is for the network's own probability, never for the calibrated one.

    Attributes:
        threshold: patients with at least this probability, 0..1, are decided positive.
        rule: how it was chosen; see `custom_transforms.evidence.threshold_rules`.
        split: fold of the data list that it was chosen on, never `test` or `training`; `site` for a site's own cases.
        patients: how many of them.
        positives: how many of these had the disease.
        calibration: map to calibrated probabilities, as plain values; see `custom_transforms.evidence.calibration_map`.
        data_list_sha256: of the list that they stand in; empty where there was none, as in MONAI Label.
        weights_sha256: of the network's file, because a threshold belongs to one network
        settings: and to one way of preparing and pooling slices, in plain values.
        date: day of the choice, ISO 8601.
        version: of the bundle.
        safetensors_sha256: of the same network as safetensors; empty where there is none.
        base_version: of a site's: version of the operating point that it replaces; else empty.
        warnings: what is doubtful about the choice.
    """

    threshold: float
    rule: str
    split: str
    patients: int
    positives: int
    calibration: Calibration
    data_list_sha256: str
    weights_sha256: str
    settings: Mapping[str, Any]
    date: str
    version: str
    safetensors_sha256: str = ""
    base_version: str = ""
    warnings: tuple[str, ...] | list[str] = ()

    def described(self) -> dict[str, Any]:
        """Give the content of the file as plain values: all attributes, and `operating_point_version`."""
        return {VERSION: self.content_version(), **self._content()}

    def content_version(self) -> str:
        """Give a short hash of all attributes: a result that names it names its threshold and where that is from."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()[:12]

    def _content(self) -> dict[str, Any]:
        return asdict(self) | {"warnings": list(self.warnings)}

    def decide(self, prob: float) -> str:
        """Decide on a patient, `positive` or `negative`, by the network's own probability."""
        return "positive" if prob >= self.threshold else "negative"

    def calibrated(self, prob: float) -> float | None:
        """Map the network's probability to the calibrated one; None where there is no map."""
        return None if self.calibration["kind"] == "none" else float(apply_calibration(self.calibration, prob))

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with whole_file(path) as file:
            file.write_text(json.dumps(self.described(), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def require_network(self, weights_sha256: str, settings: Mapping[str, Any], file: str) -> None:
        """Refuse another network, or the same one used in another way.

        Args:
            weights_sha256: of the network's file.
            settings: those to compare, by name.
            file: of this operating point, for the message.

        Raises:
            RefusedError: other weights or settings.
        """
        if weights_sha256 not in (self.weights_sha256, self.safetensors_sha256):
            expected = f"a threshold chosen for the weights {weights_sha256[:12]}"
            raise RefusedError.of("operating_point_of_other_weights", file, expected=expected, got="another network's")
        for name, used in settings.items():
            if used != self.settings.get(name):
                expected = f"{name} {self.settings.get(name)}, with which the threshold was chosen"
                raise RefusedError.of("operating_point_of_other_settings", file, expected=expected, got=str(used))


def read_operating_point(
    path: str | Path, weights: str | Path, settings: Mapping[str, Any] | None = None
) -> OperatingPoint:
    """Read an operating point and check that it belongs to a network.

    Args:
        path: file of the operating point.
        weights: file of the network.
        settings: those with which the network is used now; the default, None, compares none.

    Raises:
        RefusedError: see `load_operating_point` and `OperatingPoint.require_network`; or there are no weights.
    """
    path, weights = Path(path), Path(weights)
    point = load_operating_point(path)
    if not weights.is_file():
        raise RefusedError.of("missing_checkpoint", weights.name, expected="trained weights", got="no such file")
    point.require_network(file_sha256(weights), settings or {}, path.name)
    return point


def load_operating_point(path: str | Path) -> OperatingPoint:
    """Read an operating point whose network is not at hand.

    Raises:
        RefusedError: an absent or damaged file, one that was changed after it was written, one that an earlier version
            of this package wrote, or a choice on the test or training fold.
    """
    path = Path(path)
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "threshold" in content and VERSION not in content:
            expected = "one with calibration and version (python scripts/calibrate.py writes it)"
            raise RefusedError.of("outdated_operating_point", path.name, expected=expected, got="an earlier form")
        version = content.pop(VERSION)
        point = OperatingPoint(**content)
        _require_sound(point)
    except FileNotFoundError as error:
        expected = "the threshold that training or scripts/calibrate.py chose"
        raise RefusedError.of("missing_operating_point", path.name, expected=expected, got="no such file") from error
    except RefusedError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        expected = "an operating point as training or scripts/calibrate.py writes it"
        raise RefusedError.of("damaged_operating_point", path.name, expected=expected, got="something else") from error
    if version != point.content_version():
        got = "one that was changed since it was written"
        raise RefusedError.of("damaged_operating_point", path.name, expected="its own content", got=got)
    require_choosable(point.split, path.name)
    return point


def require_choosable(split: str, file: str) -> None:
    """Refuse a choice on a fold that a threshold must not come from.

    Args:
        split: name of the fold.
        file: that says so, for the message.

    Raises:
        RefusedError: `threshold_from_test` or `threshold_from_training`.
    """
    if split in FORBIDDEN:
        expected = "a choice on the validation fold"
        raise RefusedError.of(f"threshold_from_{split}", file, expected=expected, got=f"one on {split}")


def _require_sound(point: OperatingPoint) -> None:
    """Raise ValueError for a threshold or a map that is none."""
    if not isinstance(point.threshold, float) or not 0 <= point.threshold <= 1 or not math.isfinite(point.threshold):
        raise ValueError("threshold")
    require_calibration(point.calibration)
