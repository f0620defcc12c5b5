#!/usr/bin/env python
"""Let torchvision be imported beside a torch for the CPU alone, where its operators, built for CUDA, cannot be loaded.

It describes two of them to torch, which fails for operators that do not exist. This declares the two, with nothing
behind them, at the end of the module that looks for them. MONAI Label needs no operator of torchvision. Where they can
be loaded, and at a second run, nothing is changed.

Example:
    .venv-monailabel/bin/python scripts/mend_torchvision.py
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

DECLARATION = """

if not _has_ops():  # declared for torch.library.register_fake; they have no kernels
    for _name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{_name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def imports() -> bool:
    command = [sys.executable, "-c", "import torchvision"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> None:
    if imports():
        return
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        sys.exit("mend_torchvision: expected torchvision to be installed, got none")
    extension = Path(found.origin).with_name("extension.py")
    text = extension.read_text()
    if DECLARATION not in text:
        extension.write_text(text + DECLARATION)
    if not imports():
        sys.exit("mend_torchvision: expected torchvision to be importable, got an error; try `import torchvision`")


if __name__ == "__main__":
    main()
