"""Training from what frozen layers made of a fixed set of copies is training on these copies."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import CT, ROOT
from ignite.engine import Events
from monai.bundle import ConfigParser
from monai.utils import set_determinism
from small_weights import checkpoint_hash
from tiny_studies import write_studies

from custom_transforms.refusal import RefusedError

Weights = dict[str, torch.Tensor]
STAGES = [{"first_epoch": 0, "layers": ["fc"]}, {"first_epoch": 1, "layers": ["fc", "layer4"]},
          {"first_epoch": 2, "layers": ["fc", "layer4", "layer3"]}]  # fmt: skip
LEARNING = (
    "EpochSeed",
    "PretrainedWeights",
    "Curriculum",
    "TrainingCheckpoint",
    "FrozenActivations",
)  # without pictures
FILES = [str(CT / "configs" / f"{name}.json") for name in ("train", "smoke", "frozen_copies")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six tiny heads to train on, and two to validate; every second is positive."""
    folder = tmp_path_factory.mktemp("tiny")
    names = write_studies(folder / "heads", 8)
    items = [{"case": name, "image": f"{name}.nii.gz", "label": number % 2} for number, name in enumerate(names)]
    (folder / "data_list.json").write_text(json.dumps({"training": items[:6], "validation": items[6:]}))
    return folder


def knobs(place: Path, models: Path, **more: Any) -> dict[str, Any]:
    places = {"bundle_root": CT, "dataset_dir": place / "heads", "data_list": place / "data_list.json",
              "cache_dir": place / "prepared", "models_dir": models, "output_dir": models / "eval"}  # fmt: skip
    small = {"widths": [4, 4, 8, 8], "image_size": 32, "slices_per_bag": 3, "steps::check_head::_disabled_": True}
    given = {"device": "cpu", "max_epochs": 4, "cached_copies": 2, "patients_per_batch": 2, "stages": STAGES}
    return {**{name: str(path) for name, path in places.items()}, **small, **given, **more}


def make_parser(place: Path, models: Path, **more: Any) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(FILES)
    parser.update(knobs(place, models, **more))
    handlers = [
        it for it in parser["train::handlers"] if it["_target_"].split(".")[-1].removesuffix("Handler") in LEARNING
    ]
    parser.update({"train::handlers": handlers})
    return parser


def train(place: Path, models: Path, *, stop_after: int = 0, **more: Any) -> list[tuple[Weights, str, list[str]]]:
    """Train without validating; give each epoch's weights, the hash of its checkpoint, and the kept activations."""
    set_determinism(seed=3 if "resume" in more else 88)  # what a new process starts with must not matter
    trainer = make_parser(place, models, **more).get_parsed_content("train::trainer")
    left: list[tuple[Weights, str, list[str]]] = []

    @trainer.on(Events.EPOCH_COMPLETED)
    def _note() -> None:
        weights = {name: weight.clone() for name, weight in trainer.network.state_dict().items()}
        kept = sorted(folder.name for folder in (models / "activations").glob("*"))
        left.append((weights, checkpoint_hash(models / "training.pt"), kept))

    if stop_after:
        trainer.add_event_handler(Events.EPOCH_COMPLETED(once=stop_after), trainer.terminate)
    trainer.run()
    return left


def test_training_is_that_on_the_same_copies_without_files(place: Path, tmp_path: Path) -> None:
    cached = train(place, tmp_path / "cached")
    made_anew = train(place, tmp_path / "anew", activations_dir="")
    start = cached[0][0]
    for (found, _, kept), (expected, _, nothing) in zip(cached, made_anew, strict=True):
        for name, weight in expected.items():
            torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-6)
        assert (len(kept), nothing) == (6 * 2, [])
    assert not torch.equal(cached[-1][0]["layer3.0.conv1.weight"], start["layer3.0.conv1.weight"])
    folders = [kept for _, _, kept in cached]
    assert folders[2] == folders[3]
    assert len({*folders[0], *folders[1], *folders[2]}) == 3 * 12  # those of other stages were removed
    assert not (tmp_path / "cached" / "activations").exists()  # nobody needs them any more


def test_interrupted_training_is_that_of_an_uninterrupted_one(place: Path, tmp_path: Path) -> None:
    whole = [made for _, made, _ in train(place, tmp_path / "whole")]
    parts = [made for _, made, _ in train(place, tmp_path / "parts", stop_after=3)]
    left = sorted((tmp_path / "parts" / "activations").iterdir())
    for folder in left[::2]:  # of the others the resumed training makes use
        shutil.rmtree(folder)
    parts += [made for _, made, _ in train(place, tmp_path / "parts", resume="auto", num_workers=1)]
    assert parts == whole


@pytest.fixture
def started(place: Path, tmp_path: Path) -> tuple[Any, Any, Any]:
    """Handler, network, and copies at the start of an epoch of which layer4 and the head learn."""
    parser = make_parser(place, tmp_path)
    network, copies = parser.get_parsed_content("network"), parser.get_parsed_content("train::copies")
    handler = parser.get_parsed_content("train::handlers")[-1]
    network.requires_grad_(False)
    network.layer4.requires_grad_(True)
    handler(SimpleNamespace(state=SimpleNamespace(epoch=1)))
    return handler, network, copies


EPOCH_2: Any = SimpleNamespace(state=SimpleNamespace(epoch=2))


def test_activations_are_those_of_the_copy_that_the_epoch_takes(started: tuple[Any, Any, Any]) -> None:
    _, network, copies = started
    item = copies[3]
    assert item["passed"] == 4
    both = [network.activations(copies.copy(3, number)["image"], 4) for number in range(2)]
    assert any(torch.allclose(item["image"], one, atol=1e-6) for one in both)
    expected = copies.copy(3, 0)
    assert {key: item[key] for key in ("case", "label")} == {key: expected[key] for key in ("case", "label")}


def test_what_is_there_stays_and_what_is_damaged_or_old_is_computed(
    started: tuple[Any, Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    handler, network, copies = started
    folders = list(copies.folders)
    times = [(folder / "activations.npy").stat().st_mtime_ns for folder in folders]
    content = (folders[0] / "activations.npy").read_bytes()
    (folders[0] / "activations.npy").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    handler(EPOCH_2)
    assert copies.folders == folders
    handler.present = None  # as in a run that goes on
    handler(EPOCH_2)
    assert "damaged prepared files" in caplog.text
    assert (folders[0] / "activations.npy").read_bytes() == content
    assert [(folder / "activations.npy").stat().st_mtime_ns for folder in folders[1:]] == times[1:]
    with torch.no_grad():
        network.layer3[0].conv1.weight.mul_(1.5)  # as a round of federated training brings other weights
    handler(EPOCH_2)
    assert not {*copies.folders} & {*folders}
    assert not any(folder.exists() for folder in folders)
    handler.remove()
    assert not copies.folders[0].exists()
    handler(EPOCH_2)  # of the next round
    assert all(folder.is_dir() for folder in copies.folders)


def test_what_else_lies_in_the_folder_is_never_removed(started: tuple[Any, Any, Any]) -> None:
    handler, _, copies = started
    folder = copies.folders[0].parent
    others = [folder / "data.csv", folder / "heads" / "a.dcm", folder / ("0" * 32) / "image.npy"]
    for other in others:
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(b"somebody's own")
    handler.present = None
    handler(EPOCH_2)
    handler.remove()
    assert all(other.is_file() for other in others)
    assert not any(activations.exists() for activations in copies.folders)


def test_disk_without_room_is_refused_before_it_is_full(
    started: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, network, _ = started
    network.layer3.requires_grad_(True)
    monkeypatch.setattr("custom_transforms.resources.free_disk_bytes", lambda folder: 1000)
    with pytest.raises(RefusedError, match="too_little_disk: activations: expected"):
        handler(EPOCH_2)


def test_network_of_which_nothing_is_frozen_trains_on_images(
    place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(place, tmp_path, frozen_batch_norm=False, max_epochs=1)
    assert "no layer before conv1 is frozen: no activations are kept" in caplog.text


def test_two_ranks_share_the_copies(place: Path, tmp_path: Path) -> None:
    settings = {**knobs(place, tmp_path), "max_epochs": 3, "patients_per_batch": 1}
    del settings["device"], settings["stages"]
    settings |= {"stages::1::first_epoch": 1, "stages::2::first_epoch": 2}
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "monai.bundle"]
    files = str([*FILES, str(CT / "configs" / "multi_gpu_train.json")])
    command = [*launch, "run", "training", "--config_file", files, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    history = (tmp_path / "eval" / "history.csv").read_text().splitlines()
    assert len(history) == 1 + 3
    assert not (tmp_path / "activations").exists()
