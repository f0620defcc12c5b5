#!/usr/bin/env python
"""Tell whether a study is fit for a bundle.

Fit: exit status 0, and the last line on standard output is a JSON object. Not fit: exit status 2, and the last line on
standard error is the reason.

Example:
    python scripts/check_study.py patients/case_07 --task ct
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from custom_transforms.check_study import TASKS, check_study
from custom_transforms.refusal import RefusedError


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="ct: DICOM folder or NIfTI file; brats: a patient's folder, or 4D file")
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--labels", action="store_true", help="check the mask too")
    parser.add_argument("--label-convention", help="which codes the mask has; default: name those that fit")
    return parser


def main() -> int:
    arguments = build_parser().parse_args()
    try:
        study = check_study(
            arguments.path, arguments.task, labels=arguments.labels, label_convention=arguments.label_convention
        )
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"status": "ok", "warnings": study.warnings, "notes": study.notes, "volume": None}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
