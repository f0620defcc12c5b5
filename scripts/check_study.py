#!/usr/bin/env python
"""Tell whether a study is fit for a bundle, by loading it exactly as the bundle does.

Fit: exit status 0, and the last line on standard output is a JSON object of one line. Not fit: 2, and the last line on
standard error is the reason, `reason_code: FILE: expected ..., got ...`. Could not run: 3. A folder of studies gives a
table and a JSON file; 0 where all are fit, 2 where some are not, 3 where none could be checked.

Example:
    python scripts/check_study.py patients/case_07 --task ct
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from custom_transforms.atomic_file import whole_file
from custom_transforms.check_study import TASKS, check_options, check_study
from custom_transforms.refusal import RefusedError, last_line
from custom_transforms.study_folders import find_studies
from custom_transforms.study_table import as_table, check_only, check_studies, keep_rows


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="ct: DICOM folder, zip of one, NIfTI; brats: patient's folder, 4D file")
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--save-volume", type=Path, metavar="OUT.npz", help="write data and affine, in RAS")
    parser.add_argument("--labels", action="store_true", help="brats: check the mask too")
    parser.add_argument("--label-convention", metavar="NAME", help="brats: of the mask; default: name those that fit")
    parser.add_argument("--one", action="store_true", help="this is one study, however its folders look")
    parser.add_argument(
        "--output", type=Path, default=Path("check_study.json"), help="table; default: %(default)s, here"
    )
    parser.error = lambda message: parser.exit(3, f"{parser.prog}: {message}\n")  # 2 says that a study was refused
    return parser


def run(arguments: argparse.Namespace) -> int:
    options = {"task": arguments.task, "labels": arguments.labels, "label_convention": arguments.label_convention}
    check_options(**options)
    check = partial(check_study, **options)
    studies = [(".", arguments.path)] if arguments.one else find_studies(arguments.path, arguments.task)
    if len(studies) == 1:
        study = check_only(studies[0][1], arguments.path, check)
        if arguments.save_volume:
            with whole_file(arguments.save_volume) as file, file.open("wb") as stream:
                np.savez(stream, data=study.data, affine=study.affine)
        volume = arguments.save_volume and str(arguments.save_volume)
        print(json.dumps({"status": "ok", "warnings": study.warnings, "notes": study.notes, "volume": volume}))
        return 0
    if arguments.save_volume:
        raise ValueError(f"--save-volume: expected one study, got a folder of {len(studies)}")
    checked = tqdm(check_studies(studies, check), total=len(studies), desc="checking", unit="study")
    rows = keep_rows(checked, arguments.output)
    refused, failed = (sum(row["status"] == status for row in rows) for status in ("refused", "failed"))
    print(as_table(rows))
    print(f"{len(rows)} studies, {refused} refused, {failed} failed: {arguments.output}")
    return 3 if failed == len(rows) else 2 if refused + failed else 0


def main() -> int:
    try:
        return run(build_parser().parse_args())
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 3 if error.reason_code == "no_room" else 2
    except Exception as error:  # whatever it is, it ends in one line
        print(f"check_study: {type(error).__name__}: {last_line(error)}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
