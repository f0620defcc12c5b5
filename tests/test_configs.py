"""The bundles' configs: readable, complete for programs that only look, equal where they must be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BRATS, CT, ROOT
from monai.bundle import ConfigParser, create_workflow

from custom_transforms.tumour_regions import REGIONS, TISSUE_OF_REGION

LONGEST = 210  # lines of a config that one still reads in a minute


def read(name: str, bundle: Path = BRATS) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((bundle / "configs" / f"{name}.json").read_text())
    return config


@pytest.mark.parametrize("bundle", [BRATS, CT], ids=lambda bundle: bundle.name)
def test_configs_are_formatted_and_stay_short(bundle: Path) -> None:
    files = sorted((bundle / "configs").glob("*.json"))
    command = [sys.executable, "scripts/format_configs.py", "--check", *map(str, files)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    assert all(len(file.read_text().splitlines()) <= LONGEST for file in files)


@pytest.mark.parametrize(
    ("bundle", "files", "kind"),
    [
        (BRATS, ["train"], "train"),
        (BRATS, ["train", "regions"], "train"),
        (BRATS, ["inference"], "infer"),
        (BRATS, ["inference", "regions"], "infer"),
        (BRATS, ["inference", "regions", "uncertainty"], "infer"),
        (CT, ["train"], "train"),
        (CT, ["train", "from_scratch"], "train"),
        (CT, ["train", "frozen_copies"], "train"),
        (CT, ["inference"], "infer"),
        (CT, ["inference", "from_scratch"], "infer"),
        (CT, ["inference", "uncertainty"], "infer"),
    ],
)
def test_programs_that_only_look_find_every_property(
    bundle: Path,
    files: list[str],
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [str(bundle / "configs" / f"{name}.json") for name in files]
    workflow = create_workflow(config_file=paths, workflow_type=kind, bundle_root=str(bundle), logging_file=False)
    assert workflow.check_properties() == []
    assert list(tmp_path.iterdir()) == []  # looking leaves no file behind
    assert "".join(capfd.readouterr()) == ""


def test_what_training_and_inference_share_is_the_same() -> None:
    train, inference = read("train"), read("inference")
    assert train["network_def"] == inference["network_def"]
    assert train["network"] == inference["network"]
    assert train["validate"]["inferer"]["inferer"] == inference["single_pass"]
    for knob in ("regions", "label_convention", "channels", "dropout", "slices_per_chunk", "checkpoint", "models_dir"):
        assert train[knob] == inference[knob]
    image_steps = {name: step for name, step in train["steps"].items() if name != "regions"}
    assert list(image_steps) == list(inference["steps"])
    for name, step in inference["steps"].items():
        shared = {key: setting for key, setting in image_steps[name].items() if key in step and key != "keys"}
        assert shared == {key: setting for key, setting in step.items() if key != "keys"}
    assert train["validate"]["postprocessing"]["transforms"] == inference["postprocessing"]["transforms"][:2]


def test_a_ct_is_prepared_for_a_patient_as_for_training() -> None:
    train, inference = read("train", CT), read("inference", CT)
    for part in ("network_def", "network", "steps", "bag_steps", "settings"):
        assert train[part] == inference[part]
    own = {"imports", "fold", "output_dir", "num_workers"}
    knobs = [key for key, value in inference.items() if not isinstance(value, dict) and key in train.keys() - own]
    assert [key for key in knobs if train[key] != inference[key] and key != "run"] == []
    assert {"pooling", "top_k", "image_size", "window_centre_hu", "operating_point"} <= set(knobs)


@pytest.mark.parametrize("bundle", [BRATS, CT], ids=lambda bundle: bundle.name)
def test_patients_are_measured_as_in_training_and_with_the_backend_of_inference(bundle: Path) -> None:
    train, inference, evaluate = (read(name, bundle) for name in ("train", "inference", "evaluate"))
    inferer, validation = evaluate["validate::inferer"], train["validate"]["inferer"]
    validation = train["train"]["inferer"] if validation == "@train::inferer" else validation
    pooled = {key: value for key, value in validation["inferer"].items() if key != "scan_bfloat16"}  # of training alone
    assert inferer == inference["inferer"]
    assert evaluate["single_pass"] == pooled
    assert evaluate["passes"] == inference["passes"] == "@single_pass"
    assert [evaluate[knob] for knob in ("backend", "exported")] == [inference[knob] for knob in ("backend", "exported")]
    assert inference["backend"] == "torch"


def test_version_is_one_and_told_in_the_changelogs() -> None:
    for bundle in (BRATS, CT):
        metadata = read("metadata", bundle)
        assert metadata["name"] == bundle.name
        assert metadata["version"] in metadata["changelog"]
        assert f"## {metadata['version']}" in (ROOT / "CHANGELOG.md").read_text()
    assert read("train", CT)["version"] == read("metadata", CT)["version"]


def test_default_curriculum_is_the_published_one() -> None:
    parser = ConfigParser()
    parser.read_config(str(CT / "configs" / "train.json"))
    assert parser.get_parsed_content("stages") == [
        {"first_epoch": 0, "layers": ["fc"]},
        {"first_epoch": 5, "layers": ["fc", "layer4"]},
        {"first_epoch": 12, "layers": ["fc", "layer4", "layer3"]},
    ]
    groups = parser.get_parsed_content("learning_groups")
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(5e-5, 1e-3), (1e-5, 1e-4), (5e-6, 1e-4)]
    assert parser.get_parsed_content("max_epochs") == 50
    assert parser.get_parsed_content("slices_per_bag") * parser.get_parsed_content("patients_per_batch") == 32
    parser.update({"pooling": "attention"})
    parser.parse(True)
    assert parser.get_parsed_content("stages")[0]["layers"] == ["fc", "attention"]


def network(**changes: object) -> torch.nn.Module:
    parser = ConfigParser()
    parser.read_config(str(BRATS / "configs" / "train.json"))
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


def test_regions_overlay_names_known_regions() -> None:
    assert set(read("regions")["regions"]) <= set(REGIONS)


def test_label_convention_holds_codes_alone() -> None:
    parser = ConfigParser()
    parser.read_config(str(BRATS / "configs" / "inference.json"))
    assert parser.get_parsed_content("label_convention") == {"necrotic core": 1, "oedema": 2, "enhancing tumour": 4}
