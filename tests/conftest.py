"""Folders of data that several tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from small_points import make_point

from custom_transforms.ct_study import read_ct
from custom_transforms.mri_study import read_patient
from data_lists.ct_list import build_ct_list
from data_lists.data_list_file import write_data_list
from data_lists.decathlon import build_data_list
from data_lists.phantom_ct import is_positive, make_head
from data_lists.phantom_ct_layout import write_head, write_labels
from data_lists.phantom_layouts import write_patient
from data_lists.phantom_mri import make_patient

ROOT = Path(__file__).parents[1]
BRATS = ROOT / "bundles" / "brats_attention_unet"
CT = ROOT / "bundles" / "ct_metastasis_classifier"


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six phantom patients with masks and their data list: 3 to train on, 1 to validate, 2 to test."""
    folder = tmp_path_factory.mktemp("phantoms")
    for index in range(1, 7):
        write_patient(make_patient(index, shape=(48, 40, 10)), folder, layout="brats2018", index=index)
    write_data_list(build_data_list(folder, read=read_patient, fractions=(0.5, 0.17, 0.33)), folder / "data_list.json")
    return folder


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve phantom heads as DICOM and their data list: 6 to train on, 3 to validate, 3 to test."""
    folder = tmp_path_factory.mktemp("heads")
    for index in range(1, 13):
        write_head(make_head(index, matrix=192), folder, index=index, file_format="dicom")
    write_labels(folder, {index: is_positive(index, seed=88) for index in range(1, 13)})
    data_list = build_ct_list(folder, read=read_ct, fractions=(0.5, 0.25, 0.25))
    write_data_list(data_list, folder / "data_list.json")
    return folder


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A bundle's folder after training and evaluation."""
    folder = tmp_path / "used" / CT.name
    shutil.copytree(CT, folder, ignore=shutil.ignore_patterns("eval", "prepared", "models"))
    for name in ("model.pt", "training.pt", "milestones/stage1.pt"):
        (folder / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "models" / name).write_bytes(name.encode())
    make_point(b"model.pt").write(folder / "models" / "operating_point.json")
    for name in ("eval/patients.csv", "prepared/a/slices.npy", "configs/.train.json.swp", "docs/__pycache__/x.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("what runs and editors leave")
    return folder


@pytest.fixture(scope="session")
def real_scans() -> Path:
    """Folder of real scans, where the environment names one."""
    if "NEURO_DATA" not in os.environ:
        pytest.skip("real scans: NEURO_DATA is not set")
    return Path(os.environ["NEURO_DATA"])


def run_bundle(
    run_id: str, *configs: str, bundle: Path = BRATS, cwd: Path = ROOT, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run `python -m monai.bundle run` as a user does, from the project's root or a bundle's folder."""
    root = bundle if cwd == ROOT else Path()
    files = str([str(root / "configs" / f"{name}.json") for name in configs])
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [
        sys.executable,
        "-m",
        "monai.bundle",
        "run",
        *([run_id] if run_id else []),
        "--config_file",
        files,
        *words,
    ]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "2"}
    )


def metrics_of_best_model(bundle: Path, *configs: str, **options: object) -> dict[str, float]:
    """Measure `model.pt` on the validation patients in this process alone."""
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.json") for name in configs])
    parser.update({name: str(value) if isinstance(value, Path) else value for name, value in options.items()})
    weights = torch.load(Path(str(options["models_dir"])) / "model.pt", weights_only=True)
    parser.get_parsed_content("network").load_state_dict(weights)
    evaluator = parser.get_parsed_content("validate::evaluator")
    evaluator.run()
    metrics: dict[str, float] = evaluator.state.metrics
    return metrics


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where real scans are there and a test was skipped all the same."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if "NEURO_DATA" in os.environ and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
