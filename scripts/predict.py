#!/usr/bin/env python
"""Run a bundle over many studies: one row for each in a ledger, whatever becomes of it.

Exit status: 0 all studies have results, 2 some were refused or failed, 3 could not run, 75 interrupted: start it again.
Further options go to `monai.bundle run`, as `--checkpoint model.pt`.

Example:
    python scripts/predict.py --bundle ct_metastasis_classifier --input /data/heads --output predictions
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from custom_transforms.data_list import load_fold
from custom_transforms.runs.folder_lock import Shard
from custom_transforms.runs.study_record import find_row
from custom_transforms.runs.supervise import COULD_NOT_RUN, Supervisor, bundle_modality, inference_command, private_file
from custom_transforms.study_folders import find_studies
from data_lists.brats_items import list_brats_items

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style, allow_abbrev=False)
    parser.error = lambda message: parser.exit(COULD_NOT_RUN, f"{parser.prog}: {message}\n")  # 2 means refused studies
    add = parser.add_argument
    add("--bundle", required=True, help="name of a bundle of this project, or folder of any")
    add("--input", type=Path, required=True, help="folder of studies, or a data list (.json)")
    add("--output", type=Path, required=True, help="folder of results and ledger")
    add("--fold", default="test", help="of a data list; default: test")
    add("--overlay", action="append", default=[], help="further config, as regions, or a .json file")
    add("--shard", default="", help="i/n: do only this share; the others may run at the same time")
    add("--engine", choices=("local", "ray"), default="local", help="ray: on a Ray cluster, with the extra [ray]")
    add("--retry-refused", action="store_true", help="also do what was refused before, though nothing has changed")
    add("--which", metavar="ROW", help="only print which study a row of the ledger is of")
    return parser.parse_known_args()


def find_items(source: Path, bundle: Path, fold: str) -> tuple[Path, list[Any]]:
    """Give the folder that studies lie in, and their items with whole paths."""
    folder = source.parent if source.is_file() else source
    if source.suffix == ".json":
        return folder, load_fold(source, fold, folder)
    if bundle_modality(bundle) == "CT":
        return folder, [{"image": str(path)} for _, path in find_studies(source, "ct")]
    return folder, list(list_brats_items(source))


def run(given: argparse.Namespace, further: list[str]) -> int:
    bundle = BUNDLES / given.bundle if (BUNDLES / given.bundle).is_dir() else Path(given.bundle)
    folder, items = find_items(given.input.resolve(strict=True), bundle, given.fold)
    if given.which:
        print(*find_row(given.output, given.which, [item["image"] for item in items], folder))
        return 0
    file, data_list = private_file(json.dumps({"test": items}))
    places = {"dataset_dir": folder, "data_list": data_list, "output_dir": given.output.resolve()}
    options = {**places, "fold": "test", "shard": given.shard, "retry_refused": given.retry_refused}
    overlays = given.overlay + (["ray"] if given.engine == "ray" else [])
    command = inference_command(bundle, overlays, options, further)
    return Supervisor(command, given.output, Shard.of(given.shard), files=[file]).run()


def main() -> int:
    try:
        return run(*parse_arguments())
    except (OSError, ValueError) as error:
        print("predict:", *str(error).split(), file=sys.stderr)
        return COULD_NOT_RUN


if __name__ == "__main__":
    sys.exit(main())
