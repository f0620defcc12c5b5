"""Say how long `scripts/demo.sh` will take for a data set on this machine, from the names of its files and one case.

Example:
    python scripts/estimate_time.py /data/BraTS2021 --fractions 0.7 0.15 0.15 --slice-size "[240,240]"
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from monai.bundle import ConfigParser

from custom_transforms.mri_study import read_modalities
from custom_transforms.time_estimate import estimate_seconds
from data_lists.brats_layouts import find_data_set

BUNDLE = Path(__file__).parents[1] / "bundles" / "brats_attention_unet"
READINGS = 4  # of a patient: for the list, to draw or prepare, to evaluate, to segment
STARTING_S = 50  # programs that load MONAI, and their pictures
SLOWEST = 1.7  # where loading and training share few cores, they slow each other; seen on two


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset_dir", type=Path)
    parser.add_argument("--fractions", type=float, nargs=3, default=(0.7, 0.15, 0.15))
    parser.add_argument("--slice-size", type=json.loads, default=[240, 240])
    return parser


def estimate(arguments: argparse.Namespace) -> tuple[int, float]:
    """Return the number of cases and the seconds that they will take if nothing slows down."""
    cases = find_data_set(arguments.dataset_dir).cases
    files = [str(arguments.dataset_dir / file) for file in cases[0].image]
    start = time.perf_counter()
    volume, _ = read_modalities(files if len(files) > 1 else files[0], cases[0].modalities)
    reading_s = time.perf_counter() - start
    config = ConfigParser()
    config.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in ("train", "regions", "demo")])
    config.update({"bundle_root": str(BUNDLE), "slice_size": arguments.slice_size})
    folds = zip(("training", "validation", "test"), arguments.fractions, strict=True)
    patients = {fold: round(fraction * len(cases)) for fold, fraction in folds}
    seconds = estimate_seconds(config, patients=patients, slices=volume.shape[3])
    return len(cases), seconds + READINGS * reading_s * len(cases) + STARTING_S


def main() -> None:
    parser = build_parser()
    try:
        cases, seconds = estimate(parser.parse_args())
    except (OSError, ValueError) as error:
        parser.exit(2, f"estimate_time: {' '.join(str(error).split())}\n")
    low, high = (max(round(bound / 60), 1) for bound in (seconds, SLOWEST * seconds))
    print(f"This will take {low} to {high} min on this machine, for {cases} cases.")


if __name__ == "__main__":
    main()
