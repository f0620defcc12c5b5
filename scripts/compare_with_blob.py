"""Compare a classifier with the largest bright blob, on the patients of an evaluation: AUC, difference, intervals.

Example:
    python scripts/compare_with_blob.py build/study/data --evaluation build/study/eval --image-size 96
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from monai.bundle import ConfigParser
from tqdm import tqdm

from custom_transforms.blob_baseline import best_blob, largest_blobs
from custom_transforms.evidence.delong import auc_difference, auc_interval
from custom_transforms.evidence.evidence_files import read_cases, write_json
from custom_transforms.patient_bag import BagsDataset

BUNDLE = Path(__file__).parents[1] / "bundles" / "ct_metastasis_classifier"


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
    probs = [prob[item["case"]] for item in items]
    return {
        "network_auc": auc_interval(labels, probs),
        "blob_auc": auc_interval(labels, best.scores),
        "difference": auc_difference(labels, probs, best.scores),
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
    write_json(arguments.evaluation / "blob.json", found)
    for name in ("network_auc", "blob_auc", "difference"):
        estimate = found[name]
        low, high = estimate["ci_low"], estimate["ci_high"]
        interval = "no interval" if low is None else f"{low:.3f} to {high:.3f}"
        print(f"{name:12} {estimate['value']:.3f}  {interval}")
    if (p_value := found["difference"]["p_value"]) is not None:
        print(f"p of no difference (DeLong, two-sided): {p_value:.2g}")


if __name__ == "__main__":
    main()
