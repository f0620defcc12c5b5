"""Weights come back as they were from either format; nothing in a file of weights is ever run."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from safetensors.torch import load_file
from small_weights import make_network
from test_radimagenet import Dangerous
from torch import Tensor

from custom_transforms.atomic_file import whole_file
from custom_transforms.load_weights import StrictCheckpointLoader
from custom_transforms.radimagenet import PretrainedWeightsHandler
from custom_transforms.refusal import RefusedError
from custom_transforms.safe_weights import read_weights, safetensors_beside

State = dict[str, Tensor]


def save_both(folder: Path, state: State) -> tuple[Path, Path]:
    path = folder / "model.pt"
    with safetensors_beside(path, state), whole_file(path) as file:
        torch.save(state, file)
    return path, folder / "model.safetensors"


def same(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) and first[key].dtype == second[key].dtype for key in first
    )


def test_both_files_hold_the_same_numbers_whatever_the_memory_format(tmp_path: Path) -> None:
    state = make_network(1).to(memory_format=torch.channels_last).state_dict()  # type: ignore[call-overload]
    assert not all(tensor.is_contiguous() for tensor in state.values())
    for path in save_both(tmp_path, state):
        assert same(read_weights(path), state)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.pt", "model.safetensors"]


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_network_computes_the_same_from_either_file(tmp_path: Path, name: str) -> None:
    trained, loaded, started = make_network(1), make_network(2), make_network(3)
    save_both(tmp_path, trained.state_dict())
    engine = Engine(lambda _engine, _batch: None)
    StrictCheckpointLoader(str(tmp_path / name), {"network": loaded}).attach(engine)
    PretrainedWeightsHandler(started, pretrained="file", file=tmp_path / name).attach(engine)
    engine.run([0], max_epochs=1)
    slices = torch.rand(2, 1, 32, 32)
    assert torch.equal(loaded(slices), trained(slices))
    assert torch.equal(started(slices), trained(slices))


def test_stale_safetensors_never_lies_beside_a_newer_model(tmp_path: Path) -> None:
    old, new = make_network(1).state_dict(), make_network(2).state_dict()
    path, twin = save_both(tmp_path, old)
    with safetensors_beside(path, new):
        assert not twin.exists()  # killed here, the old model is alone
        with whole_file(path) as file:
            torch.save(new, file)
        assert not twin.exists()  # and here the new one
    assert same(read_weights(twin), new)
    with pytest.raises(OSError, match="full"), safetensors_beside(path, old):
        raise OSError("disk full")
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_disk_that_is_full_before_the_new_file_is_whole_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, twin = save_both(tmp_path, make_network(1).state_dict())

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space"), safetensors_beside(path, make_network(2).state_dict()):
        raise AssertionError("the model must not be replaced")
    assert same(read_weights(twin), make_network(1).state_dict())


def cut(raw: bytes) -> bytes:
    return raw[:-100]


def long_header(raw: bytes) -> bytes:
    return struct.pack("<Q", 1 << 60) + raw[8:]


def other_header(raw: bytes) -> bytes:
    return struct.pack("<Q", 2) + b"[]" + raw[10:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": cut,
    "short": lambda raw: raw[:9],
    "empty": lambda raw: b"",
    "page": lambda raw: b"<html>" * 50,
    "long header": long_header,
    "other header": other_header,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_damaged_weights_are_refused_in_one_line(tmp_path: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    save_both(tmp_path, make_network(1).state_dict())
    file = tmp_path / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(RefusedError, match=rf"^damaged_weights: {name}: expected a whole \w+ file") as caught:
        read_weights(file)
    assert "\n" not in str(caught.value)


def test_safetensors_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    with pytest.raises(RefusedError, match="^damaged_weights: a.safetensors"):
        read_weights(tmp_path / "a.safetensors")


def test_code_in_a_checkpoint_is_not_run_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"weight": Dangerous()}, tmp_path / "model.pt")
    loader = StrictCheckpointLoader(str(tmp_path / "model.pt"), {"network": torch.nn.Linear(1, 1)})
    with pytest.raises(RefusedError, match="^damaged_weights: model.pt"):
        loader(Engine(lambda _engine, _batch: None))
    assert "must not run" not in capsys.readouterr().out


def test_network_of_a_larger_file_is_found(tmp_path: Path) -> None:
    state = make_network(1).state_dict()
    torch.save({"network": state, "epoch": 3}, tmp_path / "milestone.pt")
    assert same(read_weights(tmp_path / "milestone.pt", part="network"), state)
    with pytest.raises(RefusedError, match="not_weights: milestone.pt: expected a flat state dict, got keys network"):
        read_weights(tmp_path / "milestone.pt")


def test_safetensors_is_what_other_programs_read(tmp_path: Path) -> None:
    state = make_network(1).state_dict()
    assert same(load_file(save_both(tmp_path, state)[1]), state)
