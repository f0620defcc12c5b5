"""Read what an evaluation of the classifier has written: labels and probabilities, and where they are from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_transforms.evidence.evaluation_folder import METRICS, PATIENTS, read_evaluation_folder
from custom_transforms.refusal import RefusedError

CONTEXT = {"fold": str, "version": str, "data_list_sha256": str, "weights_sha256": str, "settings": dict}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Patients of one fold, and the network that was run on them.

    Attributes:
        labels: 0 or 1 `(P,)`.
        probs: the network's, `(P,)`, 0..1.
        context: `metrics.json`.
    """

    labels: NDArray[np.int64]
    probs: NDArray[np.float64]
    context: dict[str, Any]


def read_evaluation(folder: Path) -> Evaluation:
    """Read an evaluation's `metrics.json` and `patients.csv`; no network and no image is needed.

    Args:
        folder: `output_dir` of `evaluating`.

    Raises:
        RefusedError: see `read_evaluation_folder`; or it is of another task, does not say which patients and which
            network it is about, or holds labels or probabilities that are none.
    """
    read = read_evaluation_folder(folder)
    context = read.summary
    if context["task"] != "classification":
        raise RefusedError.of("wrong_task", METRICS, expected="an evaluation of the classifier", got=context["task"])
    for name, kind in CONTEXT.items():
        if not isinstance(context.get(name), kind):
            expected = f"{name}, which evaluating writes"
            raise RefusedError.of("damaged_evaluation", METRICS, expected=expected, got="something else")
    labels, probs = (np.array([float(row[name]) for row in read.rows]) for name in ("label", "prob"))
    if not (np.isin(labels, (0, 1)).all() and ((probs >= 0) & (probs <= 1)).all()):
        expected = "labels 0 or 1 and probabilities 0..1"
        raise RefusedError.of("damaged_evaluation", PATIENTS, expected=expected, got="something else")
    return Evaluation(labels=labels.astype(np.int64), probs=probs, context=context)
