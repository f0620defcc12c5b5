"""Choose the operating point of a network that was evaluated: on the validation fold, or anew on a site's own cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from custom_transforms.evidence.choose_point import choose_point
from custom_transforms.evidence.evaluation_folder import METRICS
from custom_transforms.evidence.read_evaluation import Evaluation
from custom_transforms.operating_point import OperatingPoint, require_choosable

OTHER_LIST = "another data list than that of the training: make sure that no patient was learnt or is tested on"
SAME_PATIENTS = "the shipped operating point was chosen on these very patients: they are no site of their own"


def choose_on_evaluation(evaluation: Evaluation, *, rule: str, calibration: str) -> OperatingPoint:
    """Choose the operating point on an evaluated fold.

    Raises:
        ValueError: unknown rule or calibration.
        RefusedError: `threshold_from_test` or `threshold_from_training`, or see `choose_point`.
    """
    context = evaluation.context
    require_choosable(context["fold"], METRICS)
    trained: dict[str, Any] = context.get("operating_point") or {}  # that of training, which knows both its files
    hashes = [trained.get(name, "") for name in ("weights_sha256", "safetensors_sha256")]
    if context["weights_sha256"] not in hashes:
        hashes = [context["weights_sha256"], ""]
    point = _choose(evaluation, hashes, rule=rule, calibration=calibration, split=context["fold"])
    if trained.get("data_list_sha256", "") not in ("", point.data_list_sha256):
        point = replace(point, warnings=[*point.warnings, OTHER_LIST])
    return point


def recalibrate(
    evaluation: Evaluation, base: OperatingPoint, file: str, *, rule: str, calibration: str
) -> OperatingPoint:
    """Choose the operating point anew on a site's own cases.

    Args:
        evaluation: of the site's cases.
        base: the shipped operating point.
        file: of that, for messages.
        rule: as for `choose_point`.
        calibration: as for `choose_point`.

    Raises:
        ValueError: unknown rule or calibration.
        RefusedError: the cases were seen by another network than that of `base`, or used in another way; they are the
            test or training fold of the list that `base` was chosen on; or see `choose_point`.
    """
    context = evaluation.context
    base.require_network(context["weights_sha256"], context["settings"], file)
    same_list = context["data_list_sha256"] == base.data_list_sha256
    if same_list:
        require_choosable(context["fold"], METRICS)
    hashes = [base.weights_sha256, base.safetensors_sha256]
    point = _choose(evaluation, hashes, rule=rule, calibration=calibration, split="site")
    warnings = [*point.warnings, *([SAME_PATIENTS] if same_list else [])]
    return replace(point, base_version=base.content_version(), warnings=warnings)


def _choose(evaluation: Evaluation, hashes: list[str], *, rule: str, calibration: str, split: str) -> OperatingPoint:
    origin = {name: evaluation.context[name] for name in ("data_list_sha256", "settings", "version")}
    origin |= {"split": split, "weights_sha256": hashes[0], "safetensors_sha256": hashes[1]}
    return choose_point(evaluation.labels, evaluation.probs, rule=rule, calibration=calibration, origin=origin)
