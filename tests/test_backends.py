"""A network runs in torch, ONNX Runtime or OpenVINO, with one result; nothing but torch is imported unless chosen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import BRATS, CT, ROOT
from monai.bundle import ConfigParser
from monai.inferers import Inferer, SimpleInferer, SliceInferer
from test_contracts import SMALL, items_of, run

from custom_transforms import backend, export_network
from custom_transforms.backend import BackendInferer
from custom_transforms.exported_network import NETWORK, WEIGHTS, network_sha256, open_exported
from custom_transforms.file_hash import file_sha256
from custom_transforms.patient_pooling import EvidenceInferer, PatientPoolingInferer
from custom_transforms.refusal import RefusedError
from custom_transforms.runs.work import describe_work
from custom_transforms.slice_classifier import SliceClassifier

OTHERS = ("onnxruntime", "openvino")
SHALLOW = {BRATS: {}, CT: {"network_def::layers": [1, 1, 1, 1]}}


def network_of(bundle: Path) -> torch.nn.Module:
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.update({**SMALL[bundle], **SHALLOW[bundle]})
    torch.manual_seed(5)
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    for part in network.modules():  # statistics as after training, else folding them into convolutions changes nothing
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.8, 1.2)
            torch.nn.init.normal_(part.running_mean, std=0.1)  # type: ignore[arg-type]
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return network.eval()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """For each bundle a folder with `model.pt` and its export."""
    folders = {bundle: tmp_path_factory.mktemp(bundle.name) for bundle in (BRATS, CT)}
    for bundle, folder in folders.items():
        torch.save(network_of(bundle).state_dict(), folder / "model.pt")
        export_network.export_network(network_of(bundle), folder / "model.pt", folder / "model.onnx")
    return folders


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def inferer(inner: Inferer, name: str, folder: Path, **options: Any) -> BackendInferer:
    return BackendInferer(inner, name, exported=folder / "model.onnx", weights=folder / "model.pt", **options)


@pytest.mark.parametrize("name", OTHERS)
def test_exported_network_gives_torchs_numbers_for_any_count_and_size(name: str, models: dict[Path, Path]) -> None:
    for bundle, channels in ((BRATS, 4), (CT, 1)):
        network = network_of(bundle)
        for count, rows, columns in ((1, 32, 48), (5, 64, 32), (2, 80, 80)):
            slices = torch.randn(count, channels, rows, columns)
            with torch.no_grad():
                expected = network(slices)
            chosen = inferer(SimpleInferer(), name, models[bundle])
            assert_close(chosen(slices, network), expected)


@pytest.mark.parametrize("name", OTHERS)
def test_exported_network_serves_every_inferer_of_the_configs(name: str, models: dict[Path, Path]) -> None:
    network, bags = network_of(CT), torch.randn(2, 5, 1, 64, 64)
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    for inner, options in ((EvidenceInferer(2), {}), (PatientPoolingInferer("max"), {"slice_mask": mask})):
        with torch.no_grad():
            expected = inner(bags, network, **options)
        assert_close(inferer(inner, name, models[CT])(bags, network, **options), expected)
    volume, network = torch.randn(1, 4, 32, 32, 7), network_of(BRATS)
    inner = SliceInferer(spatial_dim=2, roi_size=[-1, -1], sw_batch_size=3)
    with torch.no_grad():
        expected = inner(volume, network)
    assert_close(inferer(inner, name, models[BRATS])(volume, network), expected)


def test_attention_scores_are_exported_too(tmp_path: Path) -> None:
    network = SliceClassifier(layers=(1, 1, 1, 1), widths=(4, 4, 8, 8), attention=True).eval()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    deviations = export_network.export_network(network, tmp_path / "model.pt", tmp_path / "model.onnx")
    assert set(deviations) == set(OTHERS)
    assert max(deviations.values()) <= export_network.TOLERANCE
    slices = torch.randn(2, 1, 32, 32)
    exported = open_exported(tmp_path / "model.onnx", "onnxruntime", threads=1)
    assert exported.made_from[WEIGHTS] == file_sha256(tmp_path / "model.pt")
    assert exported.made_from[NETWORK] == network_sha256(network)
    assert_close(exported(slices), network(slices))


@pytest.mark.parametrize("name", OTHERS)
def test_patient_gets_the_same_result_from_every_backend(
    name: str, models: dict[Path, Path], phantoms: Path, heads: Path, tmp_path: Path
) -> None:
    for bundle, data in ((BRATS, phantoms), (CT, heads)):
        item = items_of(data, "test")[0]
        for choice in ("torch", name):
            run(bundle, "inference", **{"dataset::data": [{"image": item["image"]}]}, **SHALLOW[bundle], backend=choice,
                models_dir=str(models[bundle]), output_dir=str(tmp_path / bundle.name / choice))  # fmt: skip
        expected, found = (tmp_path / bundle.name / choice for choice in ("torch", name))
        (mask,) = expected.glob("*.nii.gz")
        shown, other = (nib.load(folder / mask.name).get_fdata() for folder in (expected, found))
        assert np.mean(shown != other) < 1e-4  # of voxels: a probability that lies on the threshold itself
        for record in expected.glob("*.json"):
            if record.name != "summary.json":
                first, second = (json.loads((folder / record.name).read_text()) for folder in (expected, found))
                assert first["patient_probability"] == pytest.approx(second["patient_probability"], abs=1e-6)
                assert first["carrying_slices"] == second["carrying_slices"]


def test_bfloat16_is_computed_only_where_asked_and_where_the_processor_has_it(
    models: dict[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, slices = network_of(BRATS), torch.randn(2, 4, 48, 48)
    exact = inferer(SimpleInferer(), "openvino", models[BRATS])(slices, network)
    with torch.no_grad():
        assert_close(exact, network(slices))  # OpenVINO by itself would take bfloat16
    coarse = inferer(SimpleInferer(), "openvino", models[BRATS], bfloat16=True)(slices, network)
    torch.testing.assert_close(coarse, exact, rtol=0, atol=0.05)
    assert torch.equal(coarse, exact) != backend.computes_bfloat16()
    monkeypatch.setattr(backend, "computes_bfloat16", lambda: False)
    assert torch.equal(inferer(SimpleInferer(), "openvino", models[BRATS], bfloat16=True)(slices, network), exact)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"backend": "tensorrt"}, "unknown_backend: backend: expected one of torch, onnxruntime, openvino"),
        ({"backend": "onnxruntime", "bfloat16": True}, "backend_precision: backend: expected cpu_bfloat16 False"),
        ({"backend": "onnxruntime", "device": "cuda"}, "backend_device: backend: expected device cpu for onnxruntime"),
        ({"backend": "openvino", "device": torch.device("cuda:1")}, "backend_device: .* got cuda"),
    ],
)
def test_what_a_backend_cannot_do_is_refused_in_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(RefusedError, match=line):
        BackendInferer(SimpleInferer(), **options)


@pytest.mark.parametrize("name", OTHERS)
def test_missing_package_is_refused_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(RefusedError, match=rf"missing_package: .*pip install 'neuro-oncology-bundles\[{name}\]'"):
        BackendInferer(SimpleInferer(), name)


@pytest.mark.parametrize("name", OTHERS)
def test_export_that_is_missing_damaged_or_of_something_else_is_refused(
    name: str, models: dict[Path, Path], tmp_path: Path
) -> None:
    folder, slices, network = tmp_path / "models", torch.randn(1, 1, 64, 64), network_of(CT)
    shutil.copytree(models[CT], folder)
    chosen = inferer(SimpleInferer(), name, folder)
    chosen(slices, network)
    with pytest.raises(RefusedError, match=r"stale_export: model.onnx: expected an export of the network"):
        chosen(slices, SliceClassifier(widths=(8, 16, 32, 32)))
    torch.save({key: it * 2 for key, it in network.state_dict().items()}, folder / "model.pt")
    with pytest.raises(RefusedError, match=r"stale_export: .* weights model.pt \(python scripts/export_backend.py"):
        chosen(slices, network)
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:2000])
    with pytest.raises(RefusedError, match=r"damaged_export: model.onnx"):
        chosen(slices, network)
    (folder / "model.onnx").unlink()
    with pytest.raises(RefusedError, match=r"missing_export: model.onnx: .*scripts/export_backend.py"):
        chosen(slices, network)


def test_export_that_deviates_leaves_nothing(
    models: dict[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_other_weights = {key: it * 1.1 for key, it in network_of(CT).state_dict().items()}
    torch.save(of_other_weights, tmp_path / "model.pt")
    monkeypatch.setattr(export_network, "_write", lambda _, file, __: shutil.copy(models[CT] / "model.onnx", file))
    with pytest.raises(RefusedError, match="no_parity: model.onnx: expected torch's numbers from onnxruntime"):
        export_network.export_network(network_of(CT), tmp_path / "model.pt", tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_results_of_backends_and_of_exports_are_told_apart(models: dict[Path, Path], tmp_path: Path) -> None:
    folder = models[CT]
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")

    def prints(name: str, place: Path, **options: Any) -> str:
        chosen = inferer(EvidenceInferer(), name, place, **options)
        chosen(torch.randn(1, 1, 1, 64, 64), network_of(CT))  # what was opened is no setting
        exported = "" if name == "torch" else place / "model.onnx"
        work = describe_work([chosen], bundle_root=CT, checkpoint=place / "model.pt", exported=exported, backend=name)
        assert name in work["versions"]
        return str(work["fingerprint"])

    different = [prints(name, folder) for name in backend.BACKENDS] + [prints("openvino", folder, bfloat16=True)]
    assert len(set(different)) == 4
    assert different[:3] == [prints(name, elsewhere) for name in backend.BACKENDS]


BUILD = """
import sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
from small_runs import run, write_place
run(write_place(Path({place!r})))
print(sorted({{"onnx", "onnxruntime", "openvino", "onnxscript"}} & set(sys.modules)))
"""
QUIET = """
import sys
reached = []
OUTWARD = ("socket.connect", "socket.getaddrinfo", "socket.send", "http", "urllib")  # urllib3 only binds, to try IPv6
sys.addaudithook(lambda event, given: reached.append(event) if event.startswith(OUTWARD) else None)
from pathlib import Path
import torch
from custom_transforms.exported_network import open_exported
before = set(Path.home().rglob("*"))  # matplotlib's folders
for backend in ("openvino", "onnxruntime"):
    open_exported(Path({exported!r}), backend, threads=1)(torch.zeros(1, 1, 64, 64))
print(reached, "openvino_telemetry.main" in sys.modules, set(Path.home().rglob("*")) - before)
"""


def start(program: str, home: Path) -> str:
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("CI", None)  # in which OpenVINO reports nothing anyway
    done = subprocess.run([sys.executable, "-c", program], cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def test_nothing_else_is_imported_where_torch_is_the_backend(tmp_path: Path) -> None:
    program = BUILD.format(tests=str(ROOT / "tests"), place=str(tmp_path / "place"))
    (tmp_path / "place").mkdir()
    assert start(program, tmp_path) == "[]"


def test_backends_write_no_file_and_reach_for_no_network(models: dict[Path, Path], tmp_path: Path) -> None:
    assert start(QUIET.format(exported=str(models[CT] / "model.onnx")), tmp_path) == "[] False set()"
