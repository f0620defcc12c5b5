"""Print what `scripts/demo.sh` found, and where it put everything.

Example:
    python scripts/show_results.py build/demo
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

PLACES = {
    "masks": "masks",
    "metrics": "eval/metrics.json",
    "by patient": "eval/patients.csv",
    "pictures": "eval/overlays",
    "curves": "eval/curves.png",
    "data set": "explore",
    "network": "models/model.pt",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not (folder / "eval" / "metrics.json").is_file():
        parser.exit(2, f"show_results: expected eval/metrics.json in {folder}, got none\n")
    summary = json.loads((folder / "eval" / "metrics.json").read_text())
    baseline = summary["best_single_threshold"]
    rows = [("mean", summary["mean_dice"], baseline["mean_dice"])]
    floors = {floor["region"]: floor["dice"] for floor in baseline["regions"]}
    rows += [(name, found["mean_dice"], floors[name]) for name, found in summary["regions"].items()]
    print(
        "\n" + f"{summary.get('note', '')} Mean Dice of patients not used for training: {summary['patients']}".strip()
    )
    print("region        Dice   95 % interval     best single threshold")
    for name, dice, floor in rows:
        interval = "too few patients" if dice["low"] is None else f"{dice['low']:.3f} to {dice['high']:.3f}"
        print(f"{name:13} {dice['value']:.3f}  {interval:17} {floor:.3f}")
    print()
    for what, where in PLACES.items():
        print(f"{what:11} {folder / where}")


if __name__ == "__main__":
    main()
