#!/usr/bin/env python
"""Pack a bundle, as a folder and as a zip, so that it runs on a machine that has MONAI and nothing of this project.

In it are configs, docs, licence, the trained weights with their threshold, a byte-identical copy of custom_transforms,
and a manifest of hashes. Packed twice, the zips are equal byte for byte. Exit status 0, or 3 where it cannot be done.

Example:
    python scripts/pack_bundle.py bundles/ct_metastasis_classifier --output build/packed
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from custom_transforms.packed_bundle import bundle_version, pack_bundle, zip_bundle


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda message: parser.exit(3, f"{parser.prog}: {message}\n")
    parser.add_argument("bundle", type=Path, help="the bundle's folder, which holds configs/")
    parser.add_argument("--output", type=Path, required=True, help="folder for NAME/ and NAME_vVERSION.zip")
    parser.add_argument("--without-weights", action="store_true", help="to train elsewhere")
    return parser


def main() -> int:
    arguments = build_parser().parse_args()
    try:
        bundle = arguments.bundle.resolve(strict=True)
        folder = arguments.output / bundle.name
        archive = arguments.output / f"{bundle.name}_v{bundle_version(bundle)}.zip"
        print(pack_bundle(bundle, folder, with_weights=not arguments.without_weights))
        print(zip_bundle(folder, archive))
    except (KeyError, OSError, ValueError) as error:
        print("pack_bundle:", *str(error).split(), file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
