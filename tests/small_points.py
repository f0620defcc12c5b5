"""Operating points for tests."""

from __future__ import annotations

import hashlib
from typing import Any

from custom_transforms.operating_point import OperatingPoint


def make_point(weights: bytes, **changes: Any) -> OperatingPoint:
    """An operating point at 0.5, without a calibration map, for the network in a file of these bytes."""
    content: dict[str, Any] = {
        "threshold": 0.5, "rule": "best-f1", "split": "validation", "patients": 9, "positives": 4,
        "calibration": {"kind": "none"}, "data_list_sha256": "1" * 64,
        "weights_sha256": hashlib.sha256(weights).hexdigest(), "settings": {"pooling": "max"}, "date": "2026-11-22",
        "version": "0.1.0"}  # fmt: skip
    return OperatingPoint(**content | changes)
