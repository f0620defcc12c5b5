"""Rules of the house: imports run one way, no file is unused, files and functions stay small."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGES = ("custom_transforms", "data_lists")
MODULES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
CONFIGS = sorted(ROOT.glob("bundles/*/configs/*.json"))
TORCH_FREE = ("refusal", "nifti", "h5_slices", "mri_study", "atomic_file", "ct_study", "dicom")
TORCH_FREE += ("archive", "manifest", "manifest_signature", "file_hash")
TORCH_FREE += ("interruption", "resources")
TORCH_FREE += ("nifti_header", "nifti_stream", "nifti_affine")
TORCH_FREE += ("fit_study", "check_study", "check_ct", "plausible_head", "orientation", "identifying", "study_files")
TORCH_FREE += ("study_folders", "study_table", "upside_down")
TORCH_FREE += ("isolated_readers", "isolation", "limits", "serve_requests", "worker_process")
TORCH_FREE += ("mri_brain", "mri_grid", "modality_content", "label_map", "check_brats")
TORCH_FREE += ("swapped_modalities", "flipped_volumes", "suspicious_labels")


@cache
def imported(file: Path) -> set[str]:
    """Full names of what a file imports, modules and names alike."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def targets(config: object) -> Iterator[str]:
    parts = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    for part in parts:
        yield from targets(part)
    if isinstance(config, dict) and "_target_" in config:
        yield config["_target_"]


@pytest.mark.parametrize("file", MODULES, ids=module_name)
def test_imports_run_one_way(file: Path) -> None:
    roots = {name.split(".")[0] for name in imported(file)}
    forbidden = {"scripts", "tests", "bundles"}
    if file.is_relative_to(ROOT / "data_lists"):
        forbidden |= {"custom_transforms", "monai", "torch", "ignite"}
    else:
        forbidden |= {"data_lists"} if file.name != "check_study.py" else set()  # it knows layouts; no config names it
        forbidden |= {"monai", "torch", "ignite"} if {file.stem, file.parent.name} & set(TORCH_FREE) else set()
    assert not roots & forbidden


@pytest.mark.parametrize("file", [file for file in MODULES if file.stem != "__init__"], ids=module_name)
def test_every_module_is_used(file: Path) -> None:
    name = module_name(file)
    by_config = {target for config in CONFIGS for target in targets(json.loads(config.read_text()))}
    by_code = {name for other in [*MODULES, *SCRIPTS] if other != file for name in imported(other)}
    others = [*MODULES, *SCRIPTS]
    started = any(f"from {name} import" in other.read_text() for other in others if other != file)  # by `python -c`
    assert name in by_code or started or any(target.startswith(f"{name}.") for target in by_config)


def test_every_script_is_told_of() -> None:
    told = (ROOT / "README.md").read_text() + (ROOT / "Makefile").read_text() + (ROOT / "scripts/demo.sh").read_text()
    assert [
        script.name for script in (ROOT / "scripts").iterdir() if script.is_file() and script.name not in told
    ] == []
    assert not (ROOT / "scripts" / "__init__.py").exists()


def test_bundles_hold_no_code() -> None:
    assert list(ROOT.glob("bundles/**/*.py")) == []


@pytest.mark.parametrize("file", [*MODULES, *SCRIPTS], ids=lambda file: file.name)
def test_files_and_functions_stay_small(file: Path) -> None:
    limit = 80 if file in SCRIPTS else 200
    assert len(file.read_text().splitlines()) <= limit
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert (node.end_lineno or 0) - first.lineno < 40, node.name


def test_nothing_in_git_points_out_of_the_project() -> None:
    told = [*ROOT.glob("*.md"), *ROOT.glob("bundles/*/docs/*.md"), *ROOT.glob("docs/*.md")]
    for file in told:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text()):
            assert (file.parent / link).exists(), f"{file.name}: {link}"
