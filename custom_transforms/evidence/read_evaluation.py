"""Read what an evaluation of the classifier has written: labels and probabilities, and where they are from."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custom_transforms.refusal import RefusedError

METRICS, PATIENTS = "metrics.json", "patients.csv"
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
        RefusedError: a file is missing or damaged, is of another task, does not say which patients and which network it
            is about, or the two are not of one evaluation.
    """
    context: dict[str, Any] = {}
    for name in (METRICS, PATIENTS):
        if not (folder / name).is_file():
            expected = "the folder that evaluating has written"
            raise RefusedError.of("missing_evaluation", name, expected=expected, got=f"none in {folder}")
    try:
        context = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        task = context["task"]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(METRICS, "what evaluating writes") from error
    if task != "classification":
        raise RefusedError.of("wrong_task", METRICS, expected="an evaluation of the classifier", got=str(task))
    for name, kind in CONTEXT.items():
        if not isinstance(context.get(name), kind):
            raise _damaged(METRICS, f"{name}, which evaluating writes")
    labels, probs = _read_patients(folder / PATIENTS)
    if (len(labels), int(labels.sum())) != (context.get("patients"), context.get("positives")):
        raise _damaged(PATIENTS, f"the patients that {METRICS} counts")
    return Evaluation(labels=labels, probs=probs, context=context)


def _read_patients(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(int(row["label"]), float(row["prob"])) for row in csv.DictReader(file)]
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise _damaged(path.name, "the columns label and prob with numbers") from error
    labels, probs = np.array([row[0] for row in rows], dtype=np.int64), np.array([row[1] for row in rows])
    if not (np.isin(labels, (0, 1)).all() and ((probs >= 0) & (probs <= 1)).all()):
        raise _damaged(path.name, "labels 0 or 1 and probabilities 0..1")
    return labels, probs


def _damaged(name: str, expected: str) -> RefusedError:
    return RefusedError.of("damaged_evaluation", name, expected=expected, got="something else")
