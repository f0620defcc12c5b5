"""Print what `scripts/phantom_study.sh` found.

Example:
    python scripts/show_study.py build/phantom_study
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def show(folder: Path) -> None:
    summary = json.loads((folder / "curriculum" / "eval" / "metrics.json").read_text())
    blob = json.loads((folder / "curriculum" / "eval" / "blob.json").read_text())
    print(f"\n{summary['note']} {summary['patients']} heads not seen in training, {summary['positives']} positive.")
    names = ("auc", "average_precision", "f1", "sensitivity", "specificity")
    estimates = [(name, summary["metrics"][name]) for name in names]
    estimates += [("AUC of the largest bright blob", blob["blob_auc"]), ("AUC, network less blob", blob["difference"])]
    for name, estimate in estimates:
        low, high = estimate["ci_low"], estimate["ci_high"]  # none at an AUC of 1
        interval = "no interval" if low is None else f"{low:.3f} to {high:.3f}"
        print(f"{name:31} {estimate['value']:6.3f}  {interval}")
    print("\ncheckpoint    epoch  stage  validation AUC")
    for row in read_rows(folder / "curriculum" / "models" / "milestones" / "checkpoint_summary.csv"):
        print(f"{row['file']:13} {row['epoch']:>5}  {row['stage']:>5}  {float(row['auc']):.3f}")
    print("\nNo lesions and labels by chance: AUC on the augmented training slabs, last three epochs")
    for choice, words in (("True", "filters by class"), ("False", "filters for both")):
        rows = read_rows(folder / f"by_class_{choice}" / "eval" / "history.csv")[-3:]
        print(f"{words:17} " + " ".join(f"{float(row['training_auc']):.3f}" for row in rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    try:
        show(parser.parse_args().folder)
    except OSError as error:
        parser.exit(2, f"show_study: {error}\n")


if __name__ == "__main__":
    main()
