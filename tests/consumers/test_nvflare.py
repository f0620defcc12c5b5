"""Two sites train two rounds in NVIDIA FLARE's simulator, by the commands of docs/federated.md."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

import pytest
import torch
from conftest import BRATS, CT, ROOT
from monai.bundle import ConfigParser

pytestmark = pytest.mark.consumer
ENVIRONMENT = ROOT / ".venv-nvflare"
FIRST_LINE = {BRATS: "", CT: "bundle=ct_metastasis_classifier kind=ct metric=auc"}
KEY_METRIC = {BRATS: "mean_dice", CT: "auc"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that looks like the project's, with a `build` of its own."""
    if not (ENVIRONMENT / ".ready").is_file():
        pytest.fail("no environment with NVIDIA FLARE: make .venv-nvflare/.ready builds it", pytrace=False)
    for name in ("bundles", "docs", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def documented_commands(bundle: Path) -> str:
    """The commands of the simulation, with either bundle, and of making a bundle's weights of what comes out."""
    _, simulation, _, weights, *_ = (ROOT / "docs/federated.md").read_text().split("```")
    first, *others = simulation.strip().splitlines()
    assert FIRST_LINE[bundle] in first
    return "\n".join(["set -e", FIRST_LINE[bundle] or first, *others, weights])


def network_of(config: Path) -> torch.nn.Module:
    parser = ConfigParser()
    parser.read_config(str(config))
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    return network


@pytest.mark.parametrize("bundle", [BRATS, CT], ids=lambda bundle: bundle.name)
def test_two_sites_make_one_model(bundle: Path, place: Path) -> None:
    path = f"{ENVIRONMENT / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", documented_commands(bundle)],
        cwd=place,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-4000:]
    server = place / "build/federation/server/simulate_job/app_server"
    assert torch.load(server / "best_FL_global_model.pt", weights_only=True)["model"]
    weights = torch.load(place / "model.pt", weights_only=True)
    network_of(place / "build/job/app/bundle/configs/train.json").load_state_dict(weights)  # every key, and no other
    assert all(weight.isfinite().all() for weight in weights.values())
    for site in ("site-1", "site-2"):
        own = place / f"build/federation/{site}/simulate_job/app_{site}/bundle"
        with (own / "eval/history.csv").open(newline="") as file:
            history = list(csv.DictReader(file))
        assert [row["epoch"] for row in history] == ["1", "2"]
        assert all(row[KEY_METRIC[bundle]] for row in history)
        last = torch.load(own / "models/training.pt", weights_only=True)["model"]
        assert last.keys() == weights.keys()
        assert any(not torch.equal(last[name], weights[name]) for name in weights)  # an average, not this site's
