"""Pretrained weights come from the one file that was named, or training does not start."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from small_weights import backbone_of, make_network

from custom_transforms.radimagenet import PretrainedWeightsHandler
from custom_transforms.refusal import RefusedError
from custom_transforms.slice_classifier import SliceClassifier

HUB = {"repository": "some/weights", "revision": "a" * 40, "filename": "ResNet50.pt"}


def save(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path


def run(handler: PretrainedWeightsHandler) -> Engine:
    """Start an engine with the handler."""
    engine = Engine(lambda _engine, _batch: None)
    handler.attach(engine)
    engine.run([0], max_epochs=1)
    return engine


def load(network: SliceClassifier, file: Path, sha256: str | None = None) -> PretrainedWeightsHandler:
    handler = PretrainedWeightsHandler(network, pretrained="radimagenet", file=file, sha256=sha256)
    run(handler)
    return handler


def test_source_is_recorded_where_checkpoints_find_it(tmp_path: Path) -> None:
    file = save(tmp_path / "model.pt", make_network(1).state_dict())
    engine = run(PretrainedWeightsHandler(make_network(2), pretrained="file", file=file))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    expected = {"pretrained": "file", "filename": "model.pt", "family": "one_channel"}
    assert engine.state_dict()["weights_source"] == {**expected, "sha256": sha256, "head": "taken"}
    torch.save(engine.state_dict(), tmp_path / "trainer.pt")
    assert torch.load(tmp_path / "trainer.pt", weights_only=True)["weights_source"]["sha256"] == sha256


def test_other_weights_are_not_taken_for_radimagenet(tmp_path: Path) -> None:
    file = save(tmp_path / "resnet50.pt", make_network(1).state_dict())
    with pytest.raises(
        RefusedError, match=r"wrong_family: resnet50.pt: expected RadImageNet's own .*, got one_channel"
    ):
        run(PretrainedWeightsHandler(make_network(2), pretrained="radimagenet", file=file))


def test_random_weights_are_a_stated_choice() -> None:
    network = make_network(2)
    assert run(PretrainedWeightsHandler(network, pretrained="none")).state.weights_source == {"pretrained": "none"}
    assert torch.equal(network.conv1.weight, make_network(2).conv1.weight)
    with pytest.raises(ValueError, match="expected pretrained to be one of radimagenet, file, none, got 'imagenet'"):
        PretrainedWeightsHandler(network, pretrained="imagenet")


def test_resumed_training_reads_no_weights(tmp_path: Path) -> None:
    network, absent = make_network(2), tmp_path / "absent.pt"
    run(PretrainedWeightsHandler(network, pretrained="radimagenet", file=absent, resume=True))
    assert torch.equal(network.conv1.weight, make_network(2).conv1.weight)


def test_weights_that_another_program_gave_the_network_are_kept(tmp_path: Path) -> None:
    network, file = make_network(2), save(tmp_path / "w.pt", backbone_of(make_network(1)))
    handler = PretrainedWeightsHandler(network, pretrained="radimagenet", file=file)
    network.load_state_dict(make_network(3).state_dict())
    assert run(handler).state.weights_source == {"pretrained": "given"}
    assert torch.equal(network.conv1.weight, make_network(3).conv1.weight)


def test_wrong_hash_is_refused_and_the_right_one_in_capitals_is_not(tmp_path: Path) -> None:
    file = save(tmp_path / "w.pt", backbone_of(make_network(1)))
    load(make_network(2), file, sha256=hashlib.sha256(file.read_bytes()).hexdigest().upper())
    with pytest.raises(RefusedError, match="wrong_sha256: w.pt: expected 0{64}, got [0-9a-f]{64}$"):
        load(make_network(2), file, sha256="0" * 64)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="missing_weights: absent.pt"):
        load(make_network(2), tmp_path / "absent.pt")


class Dangerous:
    """What a pickle may do that is more than weights."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("this must not run",)


def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RefusedError, match="damaged_weights: w.pt"):
        load(make_network(2), save(tmp_path / "w.pt", {"conv1.weight": Dangerous()}))
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "got"), [({"state_dict": {}, "epoch": 3}, "keys state_dict, epoch"), ([torch.zeros(1)], "list")]
)
def test_file_of_something_else_is_refused(tmp_path: Path, content: object, got: str) -> None:
    with pytest.raises(RefusedError, match=f"not_weights: w.pt: expected a flat state dict, got {got}$"):
        load(make_network(2), save(tmp_path / "w.pt", content))


@pytest.mark.parametrize("damage", [lambda raw: raw[:-100], lambda raw: raw[:9], lambda _: b"", lambda _: b"<html>"])
def test_damaged_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = save(tmp_path / "w.pt", backbone_of(make_network(1)))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(RefusedError, match="damaged_weights: w.pt: expected a whole PyTorch file"):
        load(make_network(2), file)


@pytest.mark.parametrize(
    ("hub", "sha256", "refusal"),
    [
        (None, None, "weights_not_named: .* got no repository, filename$"),
        ({**HUB, "filename": ""}, "0" * 64, "weights_not_named: .* got no filename$"),
        (HUB, None, f"weights_not_pinned: ResNet50.pt: .* got revision {HUB['revision']} and sha256 none$"),
        (HUB, "0" * 63, "weights_not_pinned: .* and sha256 0{63}$"),
        ({**HUB, "revision": None}, "0" * 64, "weights_not_pinned: .* got revision none"),
        ({**HUB, "revision": "main"}, "0" * 64, "weights_not_pinned: .* got revision main"),
        ({**HUB, "revision": "v1.0"}, "0" * 64, "weights_not_pinned: .*pretrained_hub::revision .*pretrained_sha256"),
        ({**HUB, "revision": "a" * 7}, "0" * 64, "weights_not_pinned: .* or a local pretrained_file"),
    ],
)
def test_file_on_the_hub_must_be_pinned(hub: dict[str, Any] | None, sha256: str | None, refusal: str) -> None:
    handler = PretrainedWeightsHandler(make_network(2), pretrained="radimagenet", hub=hub, sha256=sha256)
    with pytest.raises(RefusedError, match=f"^{refusal}"):
        run(handler)


def test_missing_client_of_the_hub_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    handler = PretrainedWeightsHandler(make_network(2), pretrained="radimagenet", hub=HUB, sha256="0" * 64)
    with pytest.raises(RefusedError, match=r"missing_package: .*pip install 'neuro-oncology-bundles\[hub\]'"):
        run(handler)


class StandIn(BaseHTTPRequestHandler):
    """As much of the hub as its client asks for one file: HEAD for revision, ETag and length, then GET."""

    content = b""

    def do_HEAD(self) -> None:
        found = self.path == f"/{HUB['repository']}/resolve/{HUB['revision']}/{HUB['filename']}"
        self.send_response(200 if found else 404)
        self.send_header("X-Repo-Commit", HUB["revision"])
        self.send_header("Content-Length", str(len(self.content) if found else 0))
        if found:
            self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def forget_client() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.split(".")[0] == "huggingface_hub"]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run the stand-in, and give a function that starts the client anew: it reads its settings when imported."""
    StandIn.content = save(tmp_path / "upstream.pt", backbone_of(make_network(1))).read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)

    def start_client(*, offline: bool) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", str(int(offline)))
        forget_client()

    before = forget_client()
    yield start_client
    forget_client()
    sys.modules.update(before)
    server.shutdown()
    server.server_close()


def load_from_hub(network: SliceClassifier, filename: str = HUB["filename"]) -> PretrainedWeightsHandler:
    sha256 = hashlib.sha256(StandIn.content).hexdigest()
    hub = {**HUB, "filename": filename}
    handler = PretrainedWeightsHandler(network, pretrained="radimagenet", hub=hub, sha256=sha256)
    run(handler)
    return handler


def test_file_of_the_hub_is_fetched_and_then_taken_from_the_cache(hub: Callable[..., None], tmp_path: Path) -> None:
    for offline in (False, True):
        hub(offline=offline)
        network = make_network(2)
        source = load_from_hub(network).source
        assert torch.equal(network.conv1.weight, make_network(1).conv1.weight)
        assert {key: source[key] for key in HUB} == HUB
        assert source["sha256"] == hashlib.sha256(StandIn.content).hexdigest()
        assert list((tmp_path / "cache").rglob("ResNet50.pt"))


@pytest.mark.parametrize("offline", [False, True])
def test_file_that_the_hub_does_not_give_is_refused(hub: Callable[..., None], offline: bool) -> None:
    hub(offline=offline)
    with pytest.raises(RefusedError, match="weights_unreachable: b.pt: expected b.pt of some/weights") as caught:
        load_from_hub(make_network(2), "b.pt")
    assert "\n" not in str(caught.value)
