#!/usr/bin/env python
"""Choose the classifier's operating point, threshold and calibration map, from an evaluation; no network is needed.

On the validation fold, as `evaluating ... --fold validation` has written it; test and training folds are refused. With
--site it is chosen anew on a hospital's own labelled cases, and site_report.json and .csv beside the output compare the
shipped point with it. Exit status 0, or 3 where it cannot be done.

Example:
    python scripts/calibrate.py eval_validation --output models/operating_point.json --rule sensitivity=0.95
    python scripts/calibrate.py eval_site --site --base models/operating_point.json --output site/operating_point.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from custom_transforms.evidence.calibration_map import KINDS
from custom_transforms.evidence.held_out import Measures, compare_choice
from custom_transforms.evidence.read_evaluation import Evaluation, read_evaluation
from custom_transforms.evidence.recalibrate import choose_on_evaluation, recalibrate
from custom_transforms.evidence.site_report import as_table, site_report, write_site_report
from custom_transforms.evidence.threshold_rules import RULES
from custom_transforms.operating_point import OperatingPoint, load_operating_point


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda message: parser.exit(3, f"{parser.prog}: {message}\n")
    parser.add_argument("evaluation", type=Path, help="output_dir of evaluating: metrics.json and patients.csv")
    parser.add_argument("--output", type=Path, required=True, help="file of the operating point, written anew")
    parser.add_argument("--rule", help=f"{RULES}; default: best-f1, or with --site that of --base")
    parser.add_argument("--calibration", choices=KINDS, help="default: none, with --site platt")
    parser.add_argument("--site", action="store_true", help="on a site's own cases, beside --base")
    parser.add_argument("--base", type=Path, help="the shipped operating point")
    return parser


def choose(evaluation: Evaluation, arguments: argparse.Namespace) -> tuple[OperatingPoint, Mapping[str, Measures]]:
    rule, calibration = arguments.rule or "best-f1", arguments.calibration or "none"
    point = choose_on_evaluation(evaluation, rule=rule, calibration=calibration)
    return point, compare_choice(evaluation.labels, evaluation.probs, point)


def choose_anew(evaluation: Evaluation, arguments: argparse.Namespace) -> tuple[OperatingPoint, Mapping[str, Measures]]:
    base = load_operating_point(arguments.base)
    rule, calibration = arguments.rule or base.rule, arguments.calibration or "platt"
    point = recalibrate(evaluation, base, arguments.base.name, rule=rule, calibration=calibration)
    report = site_report(evaluation, base, point)
    write_site_report(arguments.output.parent, report)
    return point, {"shipped": report["shipped"]["metrics"], "site, cross-validated": report["site"]["metrics"]}


def main() -> int:
    parser = build_parser()
    arguments = parser.parse_args()
    if arguments.site != (arguments.base is not None):
        parser.error("expected --site and --base together")
    try:
        evaluation = read_evaluation(arguments.evaluation)
        point, columns = (choose_anew if arguments.site else choose)(evaluation, arguments)
        point.write(arguments.output)
    except (OSError, ValueError) as error:
        print(*str(error).split(), file=sys.stderr)
        return 3
    print(*evaluation.context.get("note", "").split(), end=" " if evaluation.context.get("note") else "")
    print(f"{point.patients} patients of {point.split}, {point.positives} positive")
    print(f"threshold {point.threshold:.4f} by {point.rule}, calibration {point.calibration['kind']}")
    print(as_table(columns), *(f"warning: {warning}" for warning in point.warnings), sep="\n")
    print(f"{arguments.output}, version {point.content_version()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
