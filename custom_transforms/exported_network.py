"""A trained network as one ONNX file, run by ONNX Runtime or OpenVINO in the place of torch."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from custom_transforms.best_model import plain
from custom_transforms.refusal import RefusedError, last_line

Array = NDArray[np.float32]
INPUT, OUTPUT, EVIDENCE = "image", "pred", "evidence"  # names in the file
WEIGHTS, NETWORK = "weights_sha256", "network_sha256"  # its metadata: what it was made from
REMEDY = "python scripts/export_backend.py BUNDLE writes it"


class ExportedNetwork:
    """A network in a file, called as the network is called that it was exported from.

    Args:
        run: gives the output of a name for slices `(N, C, H, W)`.
        made_from: metadata of the file.
    """

    def __init__(self, run: Callable[[str, Array], Array], made_from: Mapping[str, str]) -> None:
        self._run = run
        self.made_from = dict(made_from)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return what `forward` of the network gives for slices `(N, C, H, W)`."""
        return self._of(OUTPUT, x)

    def evidence(self, x: torch.Tensor) -> torch.Tensor:
        """Return what `SliceClassifier.evidence` gives for slices `(N, 1, H, W)`."""
        return self._of(EVIDENCE, x)

    def _of(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._run(name, np.ascontiguousarray(x.detach().numpy())))


def require_package(backend: str) -> None:
    """Refuse a backend that is not installed, without importing it.

    Raises:
        RefusedError: it is not.
    """
    try:
        metadata.version(backend)
    except metadata.PackageNotFoundError as error:
        expected = f"the package {backend} (pip install 'neuro-oncology-bundles[{backend}]')"
        raise RefusedError.of("missing_package", "backend", expected=expected, got="none") from error


def open_exported(path: Path, backend: str, *, threads: int, bfloat16: bool = False) -> ExportedNetwork:
    """Read a file and make it ready to run, on the CPU.

    It is read once, as bytes: neither library then looks for further files, and neither writes one.

    Args:
        path: ONNX file.
        backend: `onnxruntime` or `openvino`.
        threads: that it may use.
        bfloat16: compute in bfloat16, which ONNX Runtime cannot.

    Raises:
        RefusedError: the file is missing or damaged.
    """
    if not path.is_file():
        expected = f"the exported network at {path} ({REMEDY})"
        raise RefusedError.of("missing_export", path.name, expected=expected, got="no such file")
    try:
        content = path.read_bytes()
        if backend == "openvino":
            return _open_openvino(content, threads, "bf16" if bfloat16 else "f32")
        return _open_onnxruntime(content, threads)
    except Exception as error:  # a damaged file raises whatever its bytes happen to lead to
        expected = f"a whole ONNX file ({REMEDY})"
        raise RefusedError.of("damaged_export", path.name, expected=expected, got=last_line(error)) from error


def network_sha256(network: Callable[..., torch.Tensor]) -> str:
    """Hash a network's parts and their settings, which weights of the same names and shapes do not tell, as strides.

    The probability of dropout, which does nothing in inference, and which MONAI Label sets, does not count.
    """
    parts = repr(plain(network) if isinstance(network, nn.Module) else network)
    return hashlib.sha256(re.sub(r"\bp=[\d.]+", "", parts).encode()).hexdigest()


def _open_onnxruntime(content: bytes, threads: int) -> ExportedNetwork:
    # Microsoft's wheels report to them and keep a device's id in ~/.cache, from importing on, unless told before
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    made_from = session.get_modelmeta().custom_metadata_map
    return ExportedNetwork(lambda name, slices: session.run([name], {INPUT: slices})[0], made_from)


def _open_openvino(content: bytes, threads: int, precision: str) -> ExportedNetwork:
    """Compile for this CPU; left to itself, OpenVINO takes bfloat16 wherever the CPU has it."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # else importing it reports to Intel
    import openvino

    core = openvino.Core()
    model = core.read_model(content)
    # not pinned to cores: several processes, such as shards of one run, would all take the first ones
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}  # fmt: skip
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    made_from = {name: str(entry.value) for name, entry in model.get_rt_info()["framework"].items()}

    def run(name: str, slices: Array) -> Array:
        return np.array(request.infer({INPUT: slices}, share_inputs=True)[name])  # a copy: the next call overwrites it

    return ExportedNetwork(run, made_from)
