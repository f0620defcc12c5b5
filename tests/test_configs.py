"""The bundle's configs: readable, complete for programs that only look, equal where they must be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BUNDLE, ROOT
from monai.bundle import ConfigParser, create_workflow

from custom_transforms.tumour_regions import REGIONS, TISSUE_OF_REGION

CONFIGS = BUNDLE / "configs"


def read(name: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
    return config


def test_configs_are_formatted_and_stay_short() -> None:
    files = sorted(CONFIGS.glob("*.json"))
    command = [sys.executable, "scripts/format_configs.py", "--check", *map(str, files)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    assert all(len(file.read_text().splitlines()) <= 160 for file in files)


@pytest.mark.parametrize(("config", "kind"), [("train", "train"), ("inference", "infer")])
@pytest.mark.parametrize("overlay", [None, "regions"])
def test_programs_that_only_look_find_every_property(
    config: str, kind: str, overlay: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [str(CONFIGS / f"{name}.json") for name in (config, overlay) if name]
    workflow = create_workflow(config_file=files, workflow_type=kind, bundle_root=str(BUNDLE), logging_file=False)
    assert workflow.check_properties() == []
    assert list(tmp_path.iterdir()) == []  # looking leaves no file behind


def test_what_training_and_inference_share_is_the_same() -> None:
    train, inference = read("train"), read("inference")
    assert train["network_def"] == inference["network_def"]
    assert train["network"] == inference["network"]
    assert train["validate"]["inferer"] == inference["inferer"]
    for knob in ("regions", "label_convention", "channels", "dropout", "slices_per_chunk", "checkpoint", "models_dir"):
        assert train[knob] == inference[knob]
    image_steps = {name: step for name, step in train["steps"].items() if name != "regions"}
    assert list(image_steps) == list(inference["steps"])
    for name, step in inference["steps"].items():
        shared = {key: setting for key, setting in image_steps[name].items() if key in step and key != "keys"}
        assert shared == {key: setting for key, setting in step.items() if key != "keys"}
    assert train["validate"]["postprocessing"]["transforms"] == inference["postprocessing"]["transforms"][:2]


def network(**changes: object) -> torch.nn.Module:
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "train.json"))
    parser.update(changes)
    built: torch.nn.Module = parser.get_parsed_content("network_def")
    return built


def test_network_has_the_published_size() -> None:
    count = sum(parameter.numel() for parameter in network().parameters())
    assert count == 7_940_609  # one output channel; 2 x 33 more for three
    assert sum(parameter.numel() for parameter in network(regions=["TC", "WT", "ET"]).parameters()) == count + 66


def test_metadata_speaks_of_what_the_default_task_marks() -> None:
    metadata, train = read("metadata"), read("train")
    output = metadata["network_data_format"]["outputs"]["pred"]
    tissue = TISSUE_OF_REGION[train["regions"][0]]
    assert output["channel_def"] == {"0": "background", str(train["label_convention"][tissue]): "necrotic core"}
    assert output["num_channels"] == len(train["regions"])
    assert metadata["version"] in metadata["changelog"]
    assert f"## {metadata['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_regions_overlay_names_known_regions() -> None:
    assert set(read("regions")["regions"]) <= set(REGIONS)


def test_label_convention_holds_codes_alone() -> None:
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "inference.json"))
    assert parser.get_parsed_content("label_convention") == {"necrotic core": 1, "oedema": 2, "enhancing tumour": 4}
