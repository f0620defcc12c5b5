#!/usr/bin/env python
"""Draw what a data set holds: class balance, tumour sizes and positions, example slices; and write the numbers.

Example:
    python scripts/explore_data_set.py phantom_brats --output build/explore
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from custom_transforms.data_list import load_fold
from custom_transforms.data_set_plots import draw_data_set, save_figures
from custom_transforms.data_set_statistics import measure_data_set, write_statistics
from custom_transforms.tumour_regions import REGIONS


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset_dir", type=Path, help="folder that the data list's paths are relative to")
    parser.add_argument("--data-list", type=Path, help="default: data_list.json in the data set's folder")
    parser.add_argument("--output", type=Path, default=Path("build/explore"), help="folder of the figures")
    parser.add_argument("--fold", choices=("training", "validation", "test"), default="training")
    parser.add_argument("--region", choices=sorted(REGIONS), default="WT", help="what counts as tumour, default: WT")
    return parser


def explore(arguments: argparse.Namespace) -> None:
    data_list = arguments.data_list or arguments.dataset_dir / "data_list.json"
    items = load_fold(data_list, arguments.fold, arguments.dataset_dir)
    if not items:
        raise ValueError(f"{data_list}: expected a data list with patients in '{arguments.fold}', got none")
    patients = tqdm(items, desc="reading patients", unit="patient", disable=None)
    statistics = measure_data_set(patients, region=arguments.region)
    write_statistics(statistics, arguments.output / "statistics.json")
    figures = draw_data_set(statistics)
    save_figures(figures, arguments.output)
    with SummaryWriter(arguments.output) as writer:
        for name, figure in figures.items():
            writer.add_figure(f"explore/{name}", figure)


def main() -> None:
    parser = build_parser()
    arguments = parser.parse_args()
    try:
        explore(arguments)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {' '.join(str(error).split())}\n")
    print(arguments.output)


if __name__ == "__main__":
    main()
