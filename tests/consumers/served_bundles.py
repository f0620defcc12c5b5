"""Small copies of the bundles, and MONAI Label's server over them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BRATS, CT, ROOT
from monai.bundle import ConfigParser

PROGRAMS = ROOT / ".venv-monailabel" / "bin"
SMALL = {
    CT.name: {"widths": [4, 8, 16, 32], "image_size": 64, "num_workers": 0, "draw_slices": False, "slices_per_bag": 4},
    BRATS.name: {"channels": [4, 8, 16, 32, 64], "num_workers": 0, "slice_size": [48, 48], "slices_per_patient": 2},
}  # fmt: skip


def write_bundles(folder: Path) -> Path:
    """Both bundles with small networks of random weights; but for the knobs the configs are those of the project."""
    for bundle in (CT, BRATS):
        copy = folder / bundle.name
        shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("eval", "prepared", "models"))
        for name in ("inference", "train"):
            path = copy / "configs" / f"{name}.json"
            config = json.loads(path.read_text())
            path.write_text(json.dumps(config | {key: it for key, it in SMALL[bundle.name].items() if key in config}))
        torch.manual_seed(5)
        network = ConfigParser(json.loads(path.with_name("inference.json").read_text())).get_parsed_content("network")
        (copy / "models").mkdir()
        torch.save(network.state_dict(), copy / "models" / "model.pt")
    return folder


class Server:
    """What a viewer asks of MONAI Label."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, path: str, body: bytes | None = None, *, kind: str = "application/json", **query: str) -> bytes:
        """Get, or post where there is a body."""
        url = f"{self.address}/{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, data=body, headers={"Content-Type": kind} if body is not None else {})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return bytes(answer.read())

    def get(self, path: str, **query: str) -> Any:
        return json.loads(self.ask(path, **query))

    def infer(self, model: str, image: str, *, output: str, **params: object) -> bytes:
        form = urllib.parse.urlencode({"params": json.dumps(params)}).encode()
        return self.ask(f"infer/{model}", form, kind="application/x-www-form-urlencoded", image=image, output=output)

    def run_task(self, path: str, status: str, **params: object) -> dict[str, Any]:
        """Start a task, wait until it has ended, and return what the server says of it."""
        self.ask(path, json.dumps(params).encode())
        task = self.get(status)
        while task["status"] in ("SUBMITTED", "RUNNING"):
            time.sleep(1)
            task = self.get(status)
        return dict(task)


@contextmanager
def serve(studies: Path | str, bundles: Path, log: Path, **environment: str) -> Iterator[Server]:
    """Start the server as `make monailabel` does, and end it; its words are in `log`."""
    if not (PROGRAMS.parent / ".ready").is_file():
        pytest.fail(f"expected MONAI Label in {PROGRAMS.parent}; `make {PROGRAMS.parent.name}/.ready` builds it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "BUNDLES": str(bundles), "PORT": str(port)}
    settings = {**os.environ, **places, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **environment}
    with log.open("w") as words:
        command = [ROOT / "scripts/monailabel.sh", str(studies)]
        process = subprocess.Popen(command, env=settings, stdout=words, stderr=subprocess.STDOUT)
    server = Server(port)
    try:
        while True:
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                server.get("info/")
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(1)
        yield server
    finally:
        process.terminate()
        process.wait(60)
