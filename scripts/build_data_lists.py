#!/usr/bin/env python
"""Write the data list of a BraTS-like data set: which file is which modality, and which patient is in which fold."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

from custom_transforms.mri_study import read_label_map, read_modalities
from data_lists.brats_layouts import EXPECTED_NAMES, LAYOUTS, find_data_set
from data_lists.case_files import MODALITIES
from data_lists.content import Readers, measure_cases
from data_lists.data_list_file import DataList, write_data_list
from data_lists.decathlon import assemble_data_list
from data_lists.fold_table import format_fold_table
from data_lists.split import DEFAULT_FRACTIONS, DEFAULT_SEED, exact_shares

READERS = Readers(image=read_modalities, label=read_label_map)


def parse_arguments() -> argparse.Namespace:
    layouts = "\n".join(f"  {layout}: {names}" for layout, names in EXPECTED_NAMES.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"layouts:\n{layouts}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset_dir", type=Path, help="folder of the data set")
    parser.add_argument("--layout", choices=LAYOUTS, help="default: recognised by file names, never brats2024")
    parser.add_argument("--output", type=Path, help="default: data_list.json in the data set's folder")
    parser.add_argument(
        "--fractions", type=float, nargs=3, default=DEFAULT_FRACTIONS, metavar=("TRAINING", "VALIDATION", "TEST")
    )
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--unlabelled", action="store_true", help="for inference: no masks, all cases in test")
    parser.add_argument("--modalities", nargs=4, choices=MODALITIES, help="channel order of kaggle_h5 slices")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1), help="processes, 400 MB each")
    return parser.parse_args()


def build(arguments: argparse.Namespace, *, output: Path) -> DataList:
    exact_shares(arguments.fractions)  # refused now, not after minutes of reading
    if not output.parent.is_dir():
        raise NotADirectoryError(f"expected a folder to write into, got {output.parent}")
    data_set = find_data_set(
        arguments.dataset_dir,
        layout=arguments.layout,
        unlabelled=arguments.unlabelled,
        modalities=arguments.modalities,
    )
    measured = measure_cases(data_set, readers=READERS, workers=arguments.workers)
    contents = list(tqdm(measured, total=len(data_set.cases), desc="reading cases", unit="case", disable=None))
    return assemble_data_list(data_set, contents, fractions=arguments.fractions, seed=arguments.seed)


def main() -> int:
    arguments = parse_arguments()
    output = arguments.output or arguments.dataset_dir / "data_list.json"
    try:
        data_list = build(arguments, output=output)
        write_data_list(data_list, output)
    except (OSError, ValueError, BrokenProcessPool) as error:
        print("build_data_lists:", *str(error).split(), file=sys.stderr)
        return 2
    print(format_fold_table(data_list))
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
