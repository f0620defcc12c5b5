"""What `onnx_export` writes gives the network's numbers, for any count and size of slices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import BRATS, CT
from monai.bundle import ConfigParser

pytestmark = pytest.mark.consumer
ANY_SIZE = "{'input_names':['image'],'dynamic_axes':{'image':{0:'slices',2:'rows',3:'columns'}}}"


@pytest.mark.parametrize(
    ("bundle", "knob", "sizes", "channels"),
    [(BRATS, "channels", [4, 8, 16, 32, 64], 4), (CT, "widths", [8, 16, 32, 64], 1)],
    ids=["brats", "ct"],
)
def test_exported_network_gives_the_same_numbers(
    bundle: Path, knob: str, sizes: list[int], channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    config = bundle / "configs" / "inference.json"
    parser = ConfigParser()
    parser.read_config(str(config))
    parser.update({knob: sizes})
    torch.manual_seed(88)
    network = parser.get_parsed_content("network_def").eval()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    export = ["onnx_export", "network_def", "--config_file", config, "--ckpt_file", tmp_path / "model.pt", f"--{knob}",
              sizes, "--filepath", tmp_path / "model.onnx", "--input_shape", [2, channels, 96, 128],
              "--converter_kwargs", ANY_SIZE]  # fmt: skip
    command = [sys.executable, "-m", "monai.bundle", *map(str, export)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for shape in [(2, channels, 96, 128), (1, channels, 240, 240), (3, channels, 64, 32)]:
        image = torch.randn(shape)
        with torch.no_grad():
            expected = network(image)
        (found,) = session.run(None, {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-3, atol=1e-4)
