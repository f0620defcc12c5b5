"""How long `python -m monai.bundle run` takes until a config is built, and which part of it is ours; one JSON a line.

usage: python -m benchmarks.start_up
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from conftest import BRATS, CT, ROOT

RUNS = 5  # in turn
OURS = ("custom_transforms",)
# What MONAI imports where it is there, though a run of these bundles asks it for none of it
OPTIONAL = (
    "itk",
    "matplotlib",
    "pandas",
    "pydicom",
    "skimage",
    "sklearn",
    "tensorboard",
    "transformers",
    "h5py",
    "cv2",
)
HIDE = """import sys
class Hidden:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(name, name=name.partition(".")[0])
sys.meta_path.insert(0, Hidden)
"""
LINE = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \| ( *)(\S+)")


class Import(NamedTuple):
    """A module's first import: what it took with all that it imported, how deep it lies below others, and its name."""

    seconds: float
    depth: int
    name: str


def main() -> None:
    """Measure MONAI alone, MONAI without optional packages, and each bundle."""
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        (room / "nothing.json").write_text(json.dumps({"run": ["$None"]}))
        (room / "built.json").write_text(json.dumps({"run": ["$@evaluator"], "checkpoint": "model.pt"}))
        (room / "hidden").mkdir()
        (room / "hidden" / "sitecustomize.py").write_text(HIDE.format(names=set(OPTIONAL)))
        alone = _command(room / "nothing.json")
        hidden = {"PYTHONPATH": os.pathsep.join([str(room / "hidden"), os.environ.get("PYTHONPATH", "")])}
        commands = {f"{bundle.name}, built": _command(bundle / "configs" / "inference.json", room / "built.json",
                                                      bundle_root=bundle) for bundle in (BRATS, CT)}  # fmt: skip
        ways = {"MONAI alone": (alone, {}), "MONAI alone, optional packages absent": (alone, hidden)}
        ways |= {name: (command, {}) for name, command in commands.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(RUNS):
            for name, (command, environment) in ways.items():
                seconds[name].append(_seconds(command, environment))
        for name, (command, _) in ways.items():
            row = {"start_up": name, "seconds": median(seconds[name])}
            print(json.dumps({**row, **(_share(command) if name in commands else {})}), flush=True)


def imports_of(log: str) -> list[Import]:
    """Read what `-X importtime` writes, in the order in which modules came to their end."""
    found = [LINE.match(line) for line in log.splitlines()]
    return [Import(int(line[2]) / 1e6, len(line[3]) // 2, line[4]) for line in found if line]


def outermost(imports: Iterable[Import], roots: tuple[str, ...]) -> list[tuple[Import, list[str]]]:
    """Give imports of these packages that lie below no other of theirs, each with the names of what it imported."""
    found: list[tuple[Import, list[str]]] = []
    above: Import | None = None  # read from the end, a module comes before what it imported
    for part in reversed(list(imports)):
        if above is not None and part.depth > above.depth:
            found[-1][1].append(part.name)
            continue
        above = part if part.name.partition(".")[0] in roots else None
        if above is not None:
            found.append((part, []))
    return found


def _share(command: list[str]) -> dict[str, object]:
    """Tell what imports of ours took, with all that was imported for the first time by them."""
    run = subprocess.run([command[0], "-X", "importtime", *command[1:]], cwd=ROOT, capture_output=True, check=True)
    imports = imports_of(run.stderr.decode(errors="replace"))
    ours = outermost(imports, OURS)
    all_s = sum(part.seconds for part in imports if part.depth == 0)
    ours_s = sum(part.seconds for part, _ in ours)
    packages = {name.partition(".")[0] for _, names in ours for name in names} - {*OURS, *sys.stdlib_module_names}
    return {"imports_s": all_s, "ours_s": ours_s, "ours_share": ours_s / all_s, "first_by_ours": sorted(packages)}


def _command(*configs: Path, **options: object) -> list[str]:
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "monai.bundle", "run", "--config_file", str([*map(str, configs)]), *words]


def _seconds(command: list[str], environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
