"""Starting inference imports nothing that it does not need yet, and is built where optional packages are absent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.start_up import imports_of, outermost
from conftest import BRATS, CT, ROOT

# Of these MONAI imports many where they are there; hidden from it, they are imported by this project or not at all
UNNEEDED = ("cv2", "dicomsdl", "h5py", "highdicom", "itk", "matplotlib", "numba", "onnx", "onnxruntime", "openvino")
UNNEEDED += ("pandas", "ray", "safetensors", "skimage", "sklearn", "tensorboard", "transformers")
BUILD = """
import sys
class Hidden:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {unneeded!r}:
            raise ModuleNotFoundError(name, name=name.partition(".")[0])
sys.meta_path.insert(0, Hidden)
from monai.bundle import ConfigParser
parser = ConfigParser()
parser.read_config({config!r})
parser.update({{"bundle_root": {root!r}, "dataset_dir": ".", "draw_slices": False}})
for name in ("network", "preprocessing", "inferer", "postprocessing", "handlers", "evaluator"):
    assert parser.get_parsed_content(name) is not None
print(sorted({unneeded!r} & {{name.partition(".")[0] for name in sys.modules}}))
"""
LOG = """import time: self [us] | cumulative | imported package
import time:       200 |        200 |     numpy
import time:       100 |        300 |   custom_transforms.refusal
import time:        50 |         50 |     cv2
import time:       400 |        750 | custom_transforms.brain
import time:        10 |         10 |   json
import time:        20 |         30 | monai
"""


@pytest.mark.parametrize("bundle", [BRATS, CT], ids=lambda bundle: bundle.name)
def test_inference_is_built_without_what_it_does_not_need(bundle: Path) -> None:
    config = str(bundle / "configs" / "inference.json")
    code = BUILD.format(unneeded=set(UNNEEDED), config=config, root=str(bundle))
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.splitlines()[-1] == "[]"


def test_imports_below_ours_count_as_ours_once() -> None:
    ((brain, below),) = outermost(imports_of(LOG), ("custom_transforms",))
    assert (brain.name, brain.seconds) == ("custom_transforms.brain", 0.00075)
    assert sorted(below) == ["custom_transforms.refusal", "cv2", "numpy"]
