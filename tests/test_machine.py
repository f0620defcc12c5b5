"""The doctor names what a machine lacks and how to mend it, also where next to nothing is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from custom_transforms import machine
from custom_transforms.machine import Finding, examine


def found(folder: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(folder)}


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words, str(ROOT / "scripts/doctor.py")]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


def test_report_fits_on_a_screen_and_this_machine_can_run_the_bundles() -> None:
    done = run()
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "the bundles can run here"
    assert len(lines) <= 30
    assert any(line.startswith("ok     Python") for line in lines)


def test_it_speaks_where_nothing_is_installed() -> None:
    done = run("-S")  # without site-packages
    assert done.returncode == 3, done.stdout + done.stderr
    assert "LACKS  neuro-oncology-bundles" in done.stdout
    assert "-> pip install ." in done.stdout
    assert done.stdout.splitlines()[-1].startswith("the bundles cannot run yet: neuro-oncology-bundles")
    assert "Traceback" not in done.stderr


def test_it_speaks_where_the_project_is_there_without_its_packages(tmp_path: Path) -> None:
    """As in a clone whose environment was removed: it still holds the project's own metadata."""
    about = tmp_path / "neuro_oncology_bundles-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: neuro-oncology-bundles\nVersion: 0.1.0\nRequires-Dist: monai>=1.6\n")
    done = run("-S", PYTHONPATH=str(tmp_path))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "LACKS  neuro-oncology-bundles  broken: ModuleNotFoundError" in done.stdout


def test_package_of_another_version_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    versions = {name: metadata.version(name) for name in ("monai", "torch")}
    monkeypatch.setattr(machine, "_version", lambda name: {**versions, "torch": "1.13.1"}.get(name, "99"))
    faulty = found(tmp_path)[machine.PROJECT]
    assert "wanted, 1.13.1 found" in faulty.found
    assert faulty.remedy == "pip install --upgrade ."
    assert faulty.needed


def test_missing_decoders_and_extras_name_theirs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lacking = {machine.SYNTAXES["JPEG-LS"], machine.SYNTAXES["HTJ2K"]}
    monkeypatch.setattr("custom_transforms.dicom.decoders.has_decoder", lambda uid: str(uid) not in lacking)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    findings = found(tmp_path)
    assert findings["compressed DICOM"].found == "JPEG lossless, JPEG 2000, RLE; not JPEG-LS, HTJ2K"
    assert findings["compressed DICOM"].remedy == "pip install '.[dicom]'"
    assert findings["h5 slices"].remedy == "pip install '.[h5]'"
    assert findings["clusters"].remedy == "pip install '.[ray]'"
    assert not any(finding.needed for finding in findings.values() if "pip install '.[" in finding.remedy)


def test_folder_that_cannot_be_written_is_a_lack_and_a_full_disk_a_hint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(machine, "free_disk_bytes", lambda folder: 10**6)
    assert (found(tmp_path)["results"].remedy, found(tmp_path)["results"].needed) == ("more room", False)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    results = found(tmp_path)["results"]
    assert results.needed
    assert results.remedy == f"write access to {tmp_path}"


def test_broken_torch_is_told_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    findings = found(tmp_path)
    assert findings["torch"].found.startswith("broken: ")
    assert "memory" in findings
