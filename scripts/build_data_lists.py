#!/usr/bin/env python
"""Write the data list of a BraTS-like MRI data set or of CT studies: what is where, and who is in which fold."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

from custom_transforms.identifying import holds_identity
from custom_transforms.isolated_readers import read_ct_isolated, read_patient_isolated
from data_lists.brats_layouts import EXPECTED_NAMES, LAYOUTS, find_data_set
from data_lists.case_files import MODALITIES
from data_lists.content import measure_cases
from data_lists.ct_content import measure_studies
from data_lists.ct_layout import EXPECTED_LAYOUT, find_ct_data_set, is_ct_data_set
from data_lists.ct_list import CT_FRACTIONS, assemble_ct_list
from data_lists.data_list_file import DataList, write_data_list
from data_lists.decathlon import assemble_data_list
from data_lists.fold_table import format_fold_table
from data_lists.neutral_names import hide_names
from data_lists.split import DEFAULT_FRACTIONS, DEFAULT_SEED, exact_shares


def parse_arguments() -> argparse.Namespace:
    layouts = "\n".join(f"  {layout}: {names}" for layout, names in {**EXPECTED_NAMES, "CT": EXPECTED_LAYOUT}.items())
    style = {"epilog": f"layouts:\n{layouts}", "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser, shares = argparse.ArgumentParser(description=__doc__, **style), ("TRAINING", "VALIDATION", "TEST")
    add = parser.add_argument
    add("dataset_dir", type=Path, help="folder of the data set")
    add("--task", choices=("ct", "brats"), help="default: ct if there is a folder CTs or a table of labels")
    add("--output", type=Path, help="default: data_list.json in the data set's folder")
    add("--fractions", type=float, nargs=3, metavar=shares, help="default: 0.7 0.15 0.15; for CT 0.6 0.2 0.2")
    add("--seed", type=int, default=DEFAULT_SEED)
    add("--unlabelled", action="store_true", help="for inference: no masks or labels, all cases in test")
    add("--workers", type=int, default=min(4, os.cpu_count() or 1), help="processes, 400 MB each")
    add("--layout", choices=LAYOUTS, help="of BraTS; default: recognised by file names, never brats2024")
    add("--modalities", nargs=4, choices=MODALITIES, help="of BraTS: channel order of kaggle_h5 slices")
    add("--table", type=Path, help="of CT: csv of labels; default: the one in the data set's folder")
    add("--columns", nargs="+", default=[], help="of CT: more columns of it, as age or scanner, for sub-groups")
    return parser.parse_args()


def build(given: argparse.Namespace) -> DataList:
    is_ct = given.task == "ct" or (given.task is None and bool(given.table or is_ct_data_set(given.dataset_dir)))
    if (given.layout or given.modalities) if is_ct else (given.table or given.columns):
        raise ValueError("expected --layout and --modalities only for BraTS, --table and --columns only for CT")
    fractions = given.fractions or (CT_FRACTIONS if is_ct else DEFAULT_FRACTIONS)
    names = ("table", "columns", "unlabelled") if is_ct else ("layout", "modalities", "unlabelled")
    options = {name: vars(given)[name] for name in names}
    if is_ct:
        data_set = find_ct_data_set(given.dataset_dir, **options)
        measured, assemble = measure_studies(data_set, read=read_ct_isolated, workers=given.workers), assemble_ct_list
    else:
        data_set, assemble = find_data_set(given.dataset_dir, **options), assemble_data_list
        measured = measure_cases(data_set, read=read_patient_isolated, workers=given.workers)
    contents = list(tqdm(measured, total=len(data_set.cases), desc="reading cases", unit="case", disable=None))
    return assemble(data_set, contents, fractions=fractions, seed=given.seed)


def main() -> int:
    given = parse_arguments()
    output = given.output or given.dataset_dir / "data_list.json"
    try:
        exact_shares(given.fractions or DEFAULT_FRACTIONS)  # refused now, not after minutes of reading
        output.parent.resolve(strict=True)  # and so is a folder that is not there
        data_list = hide_names(build(given), given.dataset_dir, holds_identity)
        write_data_list(data_list, output)
    except (OSError, ValueError, RuntimeError) as error:
        print("build_data_lists:", *str(error).split(), file=sys.stderr)
        return 2
    print(format_fold_table(data_list), output, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
