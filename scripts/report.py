"""Write the report of an evaluation again, from its tables: no images, no network, no GPU.

FOLDER is what `evaluating` wrote. `metrics.json`, `figures` and `report.html` are worked out anew, with other
prevalences or sub-groups if wanted. Exit status 0, or 3 where the folder, or what is asked of it, does not fit.

Example:
    python scripts/report.py eval --prevalence 0.05 0.2 --subgroup age=40,65 sex --compare other_model/eval
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from custom_transforms.evidence.recompute import recompute


def share(text: str) -> float:
    if not 0 < (value := float(text)) < 1:
        raise ValueError(text)
    return value


def group(text: str) -> tuple[str, list[float] | None]:
    column, is_banded, edges = text.partition("=")
    return column, [float(edge) for edge in edges.split(",")] if is_banded else None


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda message: parser.exit(3, f"{parser.prog}: {message}\n")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="output_dir of evaluating")
    parser.add_argument(
        "--prevalence", type=share, nargs="+", metavar="SHARE", help="for predictive values, as 0.05; classifier"
    )
    parser.add_argument(
        "--subgroup", type=group, nargs="+", metavar="COLUMN", help="of patients.csv, bands as age=40,65; classifier"
    )
    parser.add_argument("--compare", type=Path, metavar="OTHER", help="another classifier's FOLDER, same patients")
    return parser


def main() -> int:
    asked = build_parser().parse_args()
    subgroups = None if asked.subgroup is None else dict(asked.subgroup)
    try:
        print(recompute(asked.folder, prevalences=asked.prevalence, subgroups=subgroups, compare_with=asked.compare))
    except (OSError, ValueError) as error:
        print("report:", *str(error).split(), file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
