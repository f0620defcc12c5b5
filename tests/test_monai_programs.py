"""MONAI's own programs look at, verify, export and load both bundles, from any folder: what the model zoo checks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
from conftest import BRATS, CT, ROOT
from monai.bundle import ConfigParser

KNOBS: dict[str, dict[str, list[int]]] = {
    BRATS.name: {"channels": [4, 8, 16, 32, 64]},
    CT.name: {"widths": [8, 16, 32, 64]},
}
SHAPES = {BRATS.name: (2, 4, 48, 64), CT.name: (2, 1, 64, 96)}


@pytest.fixture(params=[BRATS, CT], ids=lambda bundle: bundle.name)
def bundle(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle's folder with weights of a small network, seen from another folder."""
    folder = tmp_path / "zoo" / request.param.name
    ignored = shutil.ignore_patterns("models", "eval", "prepared")
    shutil.copytree(request.param, folder, ignore=ignored)
    (folder / "models").mkdir()
    torch.manual_seed(88)
    torch.save(network_of(folder).state_dict(), folder / "models" / "model.pt")
    monkeypatch.chdir(tmp_path)
    return folder


def network_of(bundle: Path) -> torch.nn.Module:
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.update(KNOBS[bundle.name])
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    return network.eval()


def files_of(bundle: Path) -> dict[str, str]:
    return {"meta_file": str(bundle / "configs/metadata.json"), "config_file": str(bundle / "configs/inference.json")}


def outputs_of(bundle: Path, network: Any) -> torch.Tensor:
    image = torch.randn(SHAPES[bundle.name], generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        output: torch.Tensor = network.eval()(image)
    return output


def weighted(bundle: Path) -> torch.nn.Module:
    network = network_of(bundle)
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", weights_only=True))
    return network


def test_metadata_and_shapes_are_verified_and_the_licence_is_there(bundle: Path) -> None:
    schema = shutil.copy(ROOT / "tests" / "metadata_schema.json", bundle)
    monai.bundle.verify_metadata(meta_file=files_of(bundle)["meta_file"], filepath=schema)
    monai.bundle.verify_net_in_out("network_def", **files_of(bundle), bundle_root=str(bundle))
    assert "Apache License" in (bundle / "LICENSE").read_text()


def test_torchscript_gives_the_same_numbers_and_carries_metadata(bundle: Path) -> None:
    models = bundle / "models"
    monai.bundle.ckpt_export(
        "network_def", filepath=str(models / "model.ts"), ckpt_file=str(models / "model.pt"), **files_of(bundle),
        **KNOBS[bundle.name],
    )  # fmt: skip
    network, metadata, _ = monai.bundle.load(bundle.name, bundle_dir=bundle.parent, load_ts_module=True, device="cpu")
    torch.testing.assert_close(outputs_of(bundle, network), outputs_of(bundle, weighted(bundle)))
    assert metadata["version"] == json.loads((bundle / "configs/metadata.json").read_text())["version"]
    if bundle.name == CT.name:
        image = torch.randn(SHAPES[CT.name])
        torch.testing.assert_close(network.evidence(image), weighted(bundle).evidence(image))  # type: ignore[operator]


def test_bundle_is_loaded_as_a_network_with_its_weights(bundle: Path) -> None:
    network = monai.bundle.load(bundle.name, bundle_dir=bundle.parent, net_override=KNOBS[bundle.name], device="cpu")
    assert isinstance(network, torch.nn.Module)
    torch.testing.assert_close(outputs_of(bundle, network), outputs_of(bundle, weighted(bundle)))
