"""Nothing of ours unpickles, evaluates text, starts programs or reaches the network, but where a reason says so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

FILES = sorted(file for room in ("custom_transforms", "data_lists", "scripts") for file in (ROOT / room).rglob("*.py"))
BUILTINS = {"eval", "exec", "compile", "__import__", "breakpoint"}
CODE = (
    *(f"builtins.{name}" for name in sorted(BUILTINS)),
    *("pickle", "cPickle", "dill", "cloudpickle", "ray.cloudpickle", "joblib", "shelve", "marshal"),
    *("yaml", "ruamel", "runpy", "codeop"),
    *("importlib.import_module", "importlib.util", "importlib.machinery", "importlib.reload", "pkgutil"),
    *("torch.jit.load", "torch.package", "pandas.read_pickle", "numpy.core.multiarray"),
)
PROGRAMS = (
    *("subprocess", "multiprocessing", "ctypes", "cffi", "pty", "asyncio.create_subprocess_shell"),
    *(f"os.{name}" for name in ("system", "popen", "fork", "forkpty", "posix_spawn", "startfile")),
    *(f"os.{kind}{how}" for kind in ("exec", "spawn") for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
)
NETWORK = (
    *("socket", "ssl", "http", "urllib", "ftplib", "smtplib", "xmlrpc", "requests", "urllib3", "httpx", "aiohttp"),
    *("huggingface_hub", "gdown", "wget", "boto3", "paramiko", "torch.hub", "torchvision.models", "ray"),
    *("monai.apps", "monai.bundle.download", "monai.bundle.load", "monai.bundle.download_large_files"),
    *("pydicom.data", "pooch", "fsspec", "mlflow", "wandb"),
)
ARCHIVES = ("zipfile", "tarfile", "shutil.unpack_archive", "tempfile.mktemp")
WATCHED = (*CODE, *PROGRAMS, *NETWORK, *ARCHIVES)

ALLOWED = {
    ("custom_transforms/archive.py", "zipfile"): "checks every member before and while it is unpacked",
    ("custom_transforms/atomic_file.py", "socket"): "the machine's name, so that leftovers have an owner",
    ("custom_transforms/dicom/dicomweb.py", "urllib"): "the image store that the user names; no config imports it",
    ("custom_transforms/identifying.py", "zipfile"): "lists names; unpacks nothing",
    ("custom_transforms/kept_memory.py", "ctypes"): "tells glibc, which is loaded, when to give memory back",
    ("custom_transforms/machine.py", "importlib.util"): "looks whether an optional package is there; imports nothing",
    ("custom_transforms/manifest_signature.py", "subprocess"): "ssh-keygen, with a list of arguments",
    ("custom_transforms/newest_checkpoint.py", "zipfile"): "checks the sums of our own checkpoints; unpacks nothing",
    ("custom_transforms/packed_bundle.py", "zipfile"): "writes one; unpacks nothing",
    ("custom_transforms/radimagenet.py", "huggingface_hub"): "the one download, by commit and sha256, if asked for",
    ("custom_transforms/runs/ray_evaluator.py", "ray"): "the cluster that the user names",
    ("custom_transforms/runs/ray_evaluator.py", "ray.cloudpickle"): "between the run's own processes on that cluster",
    ("custom_transforms/runs/serve_requests.py", "importlib.import_module"): "the reader that its own parent names",
    ("custom_transforms/runs/supervise.py", "ctypes"): "asks Linux to end workers with their parent",
    ("custom_transforms/runs/supervise.py", "subprocess"): "workers: this Python, with a list of arguments",
    ("custom_transforms/runs/worker_process.py", "subprocess"): "readers: this Python, with a list of arguments",
    ("data_lists/content.py", "multiprocessing"): "reads a data set's files in several processes",
    ("data_lists/phantom_layouts.py", "importlib.import_module"): "h5py, which is optional, by its own name",
    ("scripts/make_phantom.py", "multiprocessing"): "paints phantoms in several processes",
    ("scripts/mend_torchvision.py", "importlib.util"): "finds where torchvision lies; imports nothing",
    ("scripts/mend_torchvision.py", "subprocess"): "asks this Python whether torchvision can be imported",
    ("scripts/store_region.py", "urllib"): "the two servers that the user names, by default on this machine",
    ("scripts/verify_bundle.py", "subprocess"): "only the name of an error",
}  # fmt: skip


def dotted(node: ast.expr, imports: dict[str, str]) -> str:
    """Full name of `a.b.c`, where `a` was imported under whatever name; empty if it is no name."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value, imports)
        return before and f"{before}.{node.attr}"
    if isinstance(node, ast.Name):
        return imports.get(node.id, f"builtins.{node.id}" if node.id in BUILTINS else "")
    return ""


def imports_of(tree: ast.AST) -> dict[str, str]:
    """Local name to full name."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                names[f"import {alias.name}"] = alias.name
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def watched_names(source: str) -> set[str]:
    """Which of the watched modules and functions a file imports or names."""
    tree = ast.parse(source)
    imports = imports_of(tree)
    used = {*imports.values(), *(dotted(node, imports) for node in ast.walk(tree) if isinstance(node, ast.expr))}
    return {risk for risk in WATCHED for name in used if name == risk or name.startswith(f"{risk}.")}


def constant(call: ast.Call, keyword: str) -> object:
    """Value of a keyword; "absent" where there is none, and "computed" where it is no constant."""
    for it in call.keywords:
        if it.arg is None or it.arg == keyword:
            return it.value.value if it.arg and isinstance(it.value, ast.Constant) else "computed"
    return "absent"


def unsafe_calls(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    imports = imports_of(tree)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = dotted(call.func, imports)
        if name == "torch.load" and constant(call, "weights_only") is not True:
            yield f"line {call.lineno}: torch.load without weights_only=True"
        if name in ("numpy.load", "numpy.lib.format.open_memmap") and (
            constant(call, "allow_pickle") not in ("absent", False) or len(call.args) > 2
        ):
            yield f"line {call.lineno}: numpy.load with pickle"
        if name.startswith(("subprocess.", "asyncio.")) and constant(call, "shell") not in ("absent", False):
            yield f"line {call.lineno}: a shell"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_could_run_code_or_reach_out_has_its_reason(file: Path) -> None:
    source, name = file.read_text(), file.relative_to(ROOT).as_posix()
    assert list(unsafe_calls(source)) == []
    assert {risk for risk in watched_names(source) if (name, risk) not in ALLOWED} == set()


@pytest.mark.parametrize(
    ("source", "risk"),
    [
        ("import pickle", "pickle"),
        ("from pickle import loads as read", "pickle"),
        ("import os as system\nsystem.popen('ls')", "os.popen"),
        ("from os import system", "os.system"),
        ("def f():\n    import urllib.request", "urllib"),
        ("import torch\ntorch.hub.load('a', 'b')", "torch.hub"),
        ("from torch import hub", "torch.hub"),
        ("import monai.bundle as b\nb.download('x')", "monai.bundle.download"),
        ("print([eval][0]('1'))", "builtins.eval"),
        ("import shutil\nshutil.unpack_archive('a')", "shutil.unpack_archive"),
    ],
)
def test_watch_sees_names_however_they_are_imported(source: str, risk: str) -> None:
    assert watched_names(source) == {risk}


@pytest.mark.parametrize("source", ["import ray\nray.cloudpickle.loads(b'')", "from ray import cloudpickle"])
def test_watch_sees_the_pickle_of_a_package_that_is_allowed(source: str) -> None:
    assert watched_names(source) == {"ray", "ray.cloudpickle"}


@pytest.mark.parametrize(
    ("source", "safe"),
    [
        ("import torch\ntorch.load('a', weights_only=True)", True),
        ("import torch\ntorch.load('a')", False),
        ("import torch\ntorch.load('a', weights_only=False)", False),
        ("import torch\ntorch.load('a', **options)", False),
        ("from torch import load as read\nread('a')", False),
        ("import numpy as np\nnp.load('a', mmap_mode='r')", True),
        ("import numpy as np\nnp.load('a', 'r', True)", False),
        ("import numpy as np\nnp.load('a', allow_pickle=maybe)", False),
        ("import subprocess\nsubprocess.run(['ls'])", True),
        ("import subprocess\nsubprocess.run('ls', shell=True)", False),
    ],
)
def test_unsafe_calls_are_seen(source: str, safe: bool) -> None:
    assert (list(unsafe_calls(source)) == []) == safe


def test_shell_scripts_fetch_and_evaluate_nothing() -> None:
    for script in [*(ROOT / "scripts").glob("*.sh"), ROOT / ".ci/run", ROOT / "Makefile"]:
        risky = r"(?m)(?:^|[;&|(`])\s*(curl|wget|eval|git clone|ssh|nc|bash -c|sh -c)\s"
        assert re.findall(risky, script.read_text()) == [], script.name
