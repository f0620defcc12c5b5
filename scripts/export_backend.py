#!/usr/bin/env python
"""Export a bundle's trained network to models/model.onnx, which ONNX Runtime and OpenVINO run in the place of torch.

Each of the two that is installed runs it beside torch on seeded slices; the file is written only if both give torch's
numbers. Further options set knobs of the config, as --channels "[8,16,32,64,128]". Exit status 0, or 3 where it cannot
be done.

Example:
    python scripts/export_backend.py bundles/brats_attention_unet --overlay regions
    python -m monai.bundle run inference --bundle_root bundles/brats_attention_unet --backend openvino …
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from custom_transforms.export_network import TOLERANCE, export_network


def parse_arguments() -> tuple[argparse.Namespace, dict[str, object]]:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style, allow_abbrev=False)
    parser.error = lambda message: parser.exit(3, f"{parser.prog}: {message}\n")
    parser.add_argument("bundle", type=Path, help="the bundle's folder, which holds configs/")
    parser.add_argument("--overlay", action="append", default=[], help="further config, as regions")
    known, further = parser.parse_known_args()
    names, values = further[::2], further[1::2]
    if len(names) != len(values) or not all(name.startswith("--") for name in names):
        parser.error(f"expected pairs of --knob value, got {' '.join(further)}")
    knobs = {name[2:]: DefaultParseValue(value) for name, value in zip(names, values, strict=True)}
    return known, knobs


def read_config(bundle: Path, overlays: list[str], knobs: dict[str, object]) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.json") for name in ("inference", *overlays)])
    unknown = [name for name in knobs if name not in parser.get()]
    if unknown:
        raise ValueError(f"expected knobs of the config, got {', '.join(unknown)}")
    parser.update({"bundle_root": str(bundle), **knobs})
    return parser


def main() -> int:
    given, knobs = parse_arguments()
    warnings.simplefilter("ignore")  # the exporter's own, about its future
    try:
        config = read_config(given.bundle.resolve(strict=True), given.overlay, knobs)
        weights, path = (Path(config.get_parsed_content(name)) for name in ("checkpoint", "exported"))
        deviations = export_network(config.get_parsed_content("network_def"), weights, path)
    except (OSError, RuntimeError, ValueError) as error:
        print("export_backend:", *str(error).split(), file=sys.stderr)
        return 3
    print(path)
    for backend, deviation in deviations.items():
        print(f"{backend}: float32, largest deviation from torch {deviation:.1e} of the largest number"
              f" (at most {TOLERANCE:g})")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
