"""Compare a classifier with the largest bright blob, on the patients of an evaluation: AUC, difference and intervals.

Example:
    python scripts/compare_with_blob.py build/study/data --evaluation build/study/eval --image-size 96
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from tqdm import tqdm

from custom_transforms.atomic_file import whole_file
from custom_transforms.blob_baseline import best_blob, largest_blobs
from custom_transforms.classification import auc
from custom_transforms.evidence.evidence_files import read_cases
from custom_transforms.evidence.intervals import patient_interval
from custom_transforms.patient_bag import BagsDataset

BUNDLE = Path(__file__).parents[1] / "bundles" / "ct_metastasis_classifier"
Array = NDArray[np.float64]


def test_bags(arguments: argparse.Namespace) -> BagsDataset:
    config = ConfigParser()
    config.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in ("train", "evaluate")])
    config.update({"bundle_root": str(BUNDLE), "dataset_dir": str(arguments.dataset_dir)})
    config.update({"image_size": arguments.image_size, "cache_dir": arguments.cache_dir})
    bags: BagsDataset = config.get_parsed_content("validate::dataset")
    return bags.plain()


def compare(arguments: argparse.Namespace) -> dict[str, object]:
    with (arguments.evaluation / "patients.csv").open(newline="") as file:
        cases = read_cases(arguments.evaluation)
        prob = {cases[row["row"]]: float(row["prob"]) for row in csv.DictReader(file)}
    bags = test_bags(arguments)
    items = [bags[index] for index in tqdm(range(len(bags)), desc="looking for blobs", unit="patient")]
    if {item["case"] for item in items} != prob.keys():
        raise ValueError("expected the test patients of the data list in patients.csv, got others")
    labels = [int(item["label"]) for item in items]
    best = best_blob(labels, [largest_blobs(item["image"].numpy()) for item in items])
    samples = [labels, [prob[item["case"]] for item in items], best.scores]

    def difference(truth: Array, network: Array, blob: Array, axis: int = -1) -> Array:
        return auc(truth, network, axis=axis) - auc(truth, blob, axis=axis)

    return {
        "network_auc": patient_interval(samples[:2], auc),
        "blob_auc": patient_interval([labels, best.scores], auc),
        "difference": patient_interval(samples, difference),
        "blob": {"level": best.level, "margin_pixels": best.margin, "chosen_on": "these patients"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset_dir", type=Path)
    parser.add_argument("--evaluation", type=Path, required=True, help="folder that evaluation wrote")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--cache-dir", help="prepared bags; default: computed anew")
    arguments = parser.parse_args()
    try:
        found = compare(arguments)
    except (OSError, ValueError) as error:
        parser.exit(2, f"compare_with_blob: {error}\n")
    with whole_file(arguments.evaluation / "blob.json") as file:
        file.write_text(json.dumps(found, indent=1) + "\n")
    for name in ("network_auc", "blob_auc", "difference"):
        print(f"{name:12} {found[name]['value']:.3f}  {found[name]['ci_low']:.3f} to {found[name]['ci_high']:.3f}")


if __name__ == "__main__":
    main()
