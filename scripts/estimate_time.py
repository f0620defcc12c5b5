"""Say how long `scripts/demo.sh` will take for a data set on this machine.

Example:
    python scripts/estimate_time.py data_list.json /data/BraTS2021 --slice-size "[240,240]"
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from monai.bundle import ConfigParser

from custom_transforms.data_list import load_fold
from custom_transforms.mri_study import read_modalities
from custom_transforms.time_estimate import estimate_seconds

BUNDLE = Path(__file__).parents[1] / "bundles" / "brats_attention_unet"
READINGS = 3  # of a patient: once to draw or prepare, once to evaluate, once to segment
STARTING_S = 40  # four programs that load MONAI, and their pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_list", type=Path)
    parser.add_argument("dataset_dir", type=Path)
    parser.add_argument("--slice-size", type=json.loads, default=[240, 240])
    arguments = parser.parse_args()
    folds = ("training", "validation", "test")
    items = {fold: load_fold(arguments.data_list, fold, arguments.dataset_dir) for fold in folds}
    if not items["training"]:
        parser.exit(2, f"estimate_time: expected patients in 'training' of {arguments.data_list}, got none\n")
    first = items["training"][0]
    start = time.perf_counter()
    shape = read_modalities(first["image"], first["modalities"])[0].shape
    reading_s = time.perf_counter() - start
    config = ConfigParser()
    config.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in ("train", "regions", "demo")])
    config.update({"bundle_root": str(BUNDLE), "slice_size": arguments.slice_size})
    patients = {fold: len(found) for fold, found in items.items()}
    seconds = estimate_seconds(config, patients=patients, slices=shape[3])
    seconds += READINGS * reading_s * sum(patients.values()) + STARTING_S
    print(f"About {max(seconds / 60, 1):.0f} min on this machine, for {sum(patients.values())} patients.")


if __name__ == "__main__":
    main()
