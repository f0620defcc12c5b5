"""What a study's result depends on besides the study: settings, weights, threshold, backend, versions."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from custom_transforms.file_hash import file_sha256
from custom_transforms.fingerprint import code_sha256, file_states, fingerprint
from custom_transforms.refusal import RefusedError

PACKAGES = ("monai", "torch", "numpy")
USED = ("checkpoint", "operating_point", "feature_statistics", "exported")


def describe_work(
    settings: Sequence[object],
    *,
    bundle_root: str | Path,
    checkpoint: str | Path,
    operating_point: str | Path = "",
    feature_statistics: str | Path = "",
    exported: str | Path = "",
    backend: str = "torch",
) -> dict[str, Any]:
    """Give what each row of a ledger says of the work.

    Args:
        settings: preprocessing, inferer and postprocessing; where they write to does not count.
        bundle_root: folder whose `configs/metadata.json` has the version.
        checkpoint: file of the weights.
        operating_point: file of the threshold, where there is one.
        feature_statistics: file of the network's feature statistics, where there is one.
        exported: file of the network that is run in the place of `checkpoint`, where there is one.
        backend: package that runs the network.

    Returns:
        `weights_sha256`; `operating_point_sha256`, `feature_statistics_sha256` and `exported_sha256` (None without);
        `versions`; and `fingerprint`, which is another one where a result may be another one: settings, among which is
        the backend, the code of this package, weights, or any of the other files have changed.

    Raises:
        RefusedError: there are no weights.
    """
    checkpoint = Path(checkpoint)
    if not checkpoint.is_file():
        expected = f"trained weights at {checkpoint} (training writes them)"
        raise RefusedError.of("missing_checkpoint", checkpoint.name, expected=expected, got="no such file")
    weights = file_sha256(checkpoint)
    places = (operating_point, feature_statistics, exported)
    threshold, statistics, network = (file_sha256(path) if path and Path(path).is_file() else None for path in places)
    return {
        "weights_sha256": weights,
        "operating_point_sha256": threshold,
        "feature_statistics_sha256": statistics,
        "exported_sha256": network,
        "versions": _versions(Path(bundle_root), backend),
        "fingerprint": fingerprint(code_sha256(), weights, threshold, statistics, network, list(settings)),
    }


def files_in_use(work: Mapping[str, Any]) -> list[list[list[str | int]]]:
    """Give name, size and time of weights, threshold, statistics and exported network, named as in `describe_work`."""
    places = [str(work[name]) for name in USED if work.get(name)]
    return [file_states(place) for place in places if Path(place).is_file()]


def require_unchanged(before: list[list[list[str | int]]], work: Mapping[str, Any]) -> None:
    """End a run whose weights or threshold are being replaced: the network in memory is none of the new threshold's.

    Args:
        before: `files_in_use` when the run began.
        work: arguments of `describe_work`, by name.

    Raises:
        RefusedError: another size or time, or a file more or less.
    """
    if files_in_use(work) != before:
        expected = "the same weights and threshold throughout a run"
        raise RefusedError.of("changed_weights", ".", expected=expected, got="others; start the run again")


def _versions(bundle_root: Path, backend: str) -> Mapping[str, str]:
    file = bundle_root / "configs" / "metadata.json"
    bundle = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {
        "bundle": f"{bundle.get('name', '')} {bundle.get('version', '')}".strip(),
        "custom_transforms": code_sha256()[:12],
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in dict.fromkeys((*PACKAGES, backend))},
    }
