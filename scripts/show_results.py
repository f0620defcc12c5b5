"""Print what `scripts/demo.sh` or `scripts/demo_ct.sh` found, and where it put everything.

Example:
    python scripts/show_results.py build/demo
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

PLACES = {
    "masks": "masks",
    "predictions": "predictions/predictions.csv",
    "report": "eval/report.html",
    "metrics": "eval/metrics.json",
    "by patient": "eval/patients.csv",
    "row ids": "eval/row_ids.csv",
    "by slice": "eval/slices.csv",
    "pictures": "eval/overlays",
    "curves": "eval/curves.png",
    "data set": "explore",
    "network": "models/model.pt",
}
MEASURES = ("auc", "average_precision", "f1", "sensitivity", "specificity")


def interval(estimate: dict[str, Any]) -> str:
    if estimate["ci_low"] is None or estimate["ci_high"] is None:
        return "no interval"
    return f"{estimate['ci_low']:.3f} to {estimate['ci_high']:.3f}"


def show_segmenter(summary: dict[str, Any]) -> None:
    baseline = summary["best_single_threshold"]
    rows = [("mean", summary["metrics"]["mean_dice"], baseline["mean_dice"])]
    floors = {floor["region"]: floor["dice"] for floor in baseline["regions"]}
    rows += [(name, found["mean_dice"], floors[name]) for name, found in summary["regions"].items()]
    title = f"{summary.get('note', '')} Mean Dice of patients not used for training: {summary['patients']}"
    print(f"\n{title.strip()}\nregion        Dice   95 % interval     best single threshold")
    for name, dice, floor in rows:
        print(f"{name:13} {dice['value']:.3f}  {interval(dice):17} {floor:.3f}")


def show_classifier(summary: dict[str, Any], predictions: Path) -> None:
    count = f"{summary['patients']}, {summary['positives']} with metastases"
    print("\n" + f"{summary.get('note', '')} Patients not used for training: {count}".strip())
    for name in (name for name in MEASURES if name in summary["metrics"]):
        value = (estimate := summary["metrics"][name])["value"]
        print(f"{name:18} {'    -' if value is None else f'{value:.3f}'}  {interval(estimate)}")
    print("\ncase                 probability  decision  slices used, dropped  carried by slices")
    with predictions.open(newline="") as file:
        for row in csv.DictReader(file):
            slices = f"{row['slices_used']}, {row['slices_dropped']} ({row['reasons'] or 'none'})"
            prob = float(row["probability"] or "nan")
            found = f"{prob:.3f}        {row['decision']:9} {slices}  {row['carrying_slices']}"
            print(f"{row['case']:20} {found if row['status'] == 'ok' else row['reason']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not (path := folder / "eval" / "metrics.json").is_file():
        parser.exit(2, f"show_results: expected eval/metrics.json in {folder}, got none\n")
    if (summary := json.loads(path.read_text()))["task"] == "classification":
        show_classifier(summary, folder / PLACES["predictions"])
    else:
        show_segmenter(summary)
    print()
    for what, where in PLACES.items():
        if (folder / where).exists():
            print(f"{what:11} {folder / where}")


if __name__ == "__main__":
    main()
