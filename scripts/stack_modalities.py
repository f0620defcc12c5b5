#!/usr/bin/env python
"""Write each patient's four MRI files as one NIfTI with channels FLAIR, T1, T1ce, T2, as MONAI Label's store wants it.

A patient whose files are not fit is named with the reason on standard error and stops no other. Exit status 0, 2 where
some were refused, 3 where it could not run.

Example:
    python scripts/stack_modalities.py /data/BraTS2021 --output /data/store
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from custom_transforms.file_stem import file_stem
from custom_transforms.mri_study import MODALITIES
from custom_transforms.refusal import RefusedError
from custom_transforms.runs.study_name import name_study
from custom_transforms.stacked_modalities import stack_modalities
from data_lists.brats_items import list_brats_items
from data_lists.data_list_file import CaseItem


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda message: parser.exit(3, f"{parser.prog}: {message}\n")
    parser.add_argument("dataset_dir", type=Path, help="folder of one patient or of many, in any of the layouts")
    parser.add_argument("--output", type=Path, required=True, help="folder of the files, <case>.nii.gz")
    return parser


def files_of(items: list[CaseItem], folder: Path) -> list[Path]:
    """Name each patient's file; a name that holds an identifying tag becomes the number of the patient."""
    names = [file_stem(name_study(item, f"patient_{number:04d}")[0]) for number, item in enumerate(items, start=1)]
    repeated = sum(names.count(name) > 1 for name in names)
    if repeated:
        raise ValueError(f"expected a name of its own for each patient, got {repeated} that share one")
    return [folder / f"{name}.nii.gz" for name in names]


def stack(item: CaseItem, file: Path) -> bool:
    try:
        if "refused" in item:
            raise RefusedError.of(**item["refused"])
        stack_modalities(item["image"], file, item.get("modalities", MODALITIES))
    except RefusedError as error:
        tqdm.write(str(error), file=sys.stderr)
        return False
    return True


def main() -> int:
    arguments, refused = build_parser().parse_args(), 0
    try:
        items = list_brats_items(arguments.dataset_dir.resolve())
        files = files_of(items, arguments.output)
        for item, file in zip(tqdm(items, desc="stacking", unit="patient"), files, strict=True):
            refused += not stack(item, file)
    except (OSError, ValueError) as error:
        print("stack_modalities:", *str(error).split(), file=sys.stderr)
        return 3
    print(f"{len(items)} patients, {refused} refused: {arguments.output}")
    return 2 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
