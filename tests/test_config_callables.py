"""A config is code: ours may call what is listed here, and nothing else."""

from __future__ import annotations

import ast
import configparser
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from monai.bundle import ComponentLocator

CONFIGS = sorted(ROOT.glob("bundles/*/configs/*.json"))
IMPORTS = {"monai", "torch", "os"}
MONAI = {
    "monai.data": {"DataLoader", "Dataset", "DistributedSampler"},
    "monai.engines": {"SupervisedEvaluator", "SupervisedTrainer"},
    "monai.handlers": {"LrScheduleHandler", "StatsHandler", "ValidationHandler"},
    "monai.inferers": {"SimpleInferer", "SliceInferer"},
    "monai.networks.nets": {"AttentionUnet"},
    "monai.transforms": {
        *("Activationsd", "AsDiscreted", "Compose", "CopyItemsd", "DivisiblePadd", "Invertd", "NormalizeIntensityd"),
        *("EnsureChannelFirstd", "Orientationd"),
    },
}
FULL_NAMES = {
    *("ignite.handlers.ProgressBar", "monai.engines.PrepareBatchExtraInput", "torch.nn.BCEWithLogitsLoss"),
    *("torch.nn.parallel.DistributedDataParallel", "torch.optim.Adam", "torch.optim.AdamW"),
    "torch.optim.lr_scheduler.CosineAnnealingLR",
}
CALLED = {  # in expressions
    *("len", "list", "int", "monai.utils.set_determinism", "torch.device", "torch.cuda.is_available"),
    *("torch.cuda.set_device", "torch.distributed.init_process_group", "torch.distributed.destroy_process_group"),
    "torch.distributed.get_rank",
}
NAMED = {*CALLED, "torch.channels_last", "os.environ"}
METHODS = {"to", "values", "run", "parameters", "plain"}  # of what `@id` refers to
ATTRIBUTES = {*METHODS, "module", "type", "volumes"}
GRAMMAR = (
    *(ast.Expression, ast.Name, ast.Constant, ast.Attribute, ast.Call, ast.keyword, ast.Subscript, ast.Starred),
    *(ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.comprehension, ast.IfExp, ast.Compare, ast.BoolOp, ast.UnaryOp),
    *(ast.BinOp, ast.Add, ast.Not, ast.And, ast.Or, ast.Eq, ast.NotEq, ast.Gt, ast.Lt, ast.In, ast.NotIn, ast.Is),
    *(ast.IsNot, ast.expr_context),
)
REFERENCE = re.compile(r"@\w*(?:::\w*)*")  # as MONAI finds them


def parts(config: object) -> Iterator[tuple[object, object]]:
    """Every key, or place in a list, with its value."""
    if isinstance(config, list):
        config = dict(enumerate(config))
    for key, value in config.items() if isinstance(config, dict) else ():
        yield key, value
        yield from parts(value)


def is_ours(target: str) -> bool:
    """Whether a module of `custom_transforms` defines this itself, rather than passing on what it imports."""
    module, _, name = target.rpartition(".")
    file = ROOT / f"{module.replace('.', '/')}.py"
    if module.split(".")[0] != "custom_transforms" or not file.is_file():
        return False
    body = ast.parse(file.read_text()).body
    return any(isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name for node in body)


def faults_of_target(target: object) -> Iterator[str]:
    short = {name for names in MONAI.values() for name in names}
    if not isinstance(target, str) or (target not in short | FULL_NAMES and not is_ours(target)):
        yield f"_target_ {target!r}"


def full_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def faults_of_expression(text: str) -> Iterator[str]:
    """What an expression, without its `$`, uses beyond the lists."""
    if text.startswith(("import ", "from ")):
        if text.removeprefix("import ") not in IMPORTS:
            yield text
        return
    tree = ast.parse(REFERENCE.sub("reference", text), mode="eval")
    own = {node.target.id for node in ast.walk(tree) if isinstance(node, ast.comprehension)
           if isinstance(node.target, ast.Name)} | {"reference"}  # fmt: skip
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if not isinstance(node, GRAMMAR):
            yield type(node).__name__
        if isinstance(node, (ast.Name, ast.Attribute)) and id(node) not in inner:
            yield from faults_of_name(node, own)
        if isinstance(node, ast.Call):
            name = full_name(node.func)
            of_reference = isinstance(node.func, ast.Attribute) and name not in CALLED and node.func.attr in METHODS
            if name not in CALLED and not (of_reference and not name.startswith((*IMPORTS,))):
                yield f"call of {name}"


def faults_of_name(node: ast.Name | ast.Attribute, own: set[str]) -> Iterator[str]:
    """Fault a chain `a.b.c`: a listed name, or listed attributes of a reference or of what a listed call returns."""
    name = full_name(node)
    root = name.split(".")[0]
    if name in NAMED or name in own:
        return
    if root in own or root == "?":
        attributes = name.split(".")[1:]
        yield from (f"attribute {attribute}" for attribute in attributes if attribute not in ATTRIBUTES)
    else:
        yield f"name {name}"


def faults(config: object) -> list[str]:
    found: list[str] = []
    for key, value in parts(config):
        if key == "_target_":
            found += faults_of_target(value)
        elif key == "_mode_" and value not in ("callable", "default"):
            found.append(f"_mode_ {value!r}")
        elif isinstance(value, str) and value.startswith("%"):
            found.append(f"text of a file, {value!r}")
        elif isinstance(value, str) and value.startswith("$") and key != "_desc_":
            found += faults_of_expression(value[1:])
    return found


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: f"{file.parent.parent.name}/{file.stem}")
def test_config_calls_only_what_is_listed(file: Path) -> None:
    assert faults(json.loads(file.read_text())) == []


def test_short_names_are_those_of_monai() -> None:
    locator = ComponentLocator()
    for module, names in MONAI.items():
        for name in names:
            found = locator.get_component_module_name(name)
            first = found[0] if isinstance(found, list) else found
            assert first is not None
            assert first.startswith("monai.")
            assert getattr(importlib.import_module(first), name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    "config",
    [
        {"_target_": "os.system", "command": "id"},
        {"_target_": "builtins.eval"},
        {"_target_": "custom_transforms.radimagenet.hf_hub_download"},
        {"_target_": "custom_transforms.archive.zipfile.ZipFile"},
        {"_target_": "$@steps"},
        {"_target_": ["Compose"]},
        {"_target_": "Compose", "_mode_": "debug"},
        {"a": {"b": ["$import subprocess"]}},
        ["$from os import system"],
        ["$import os; os.system('id')"],
        ["$import os, sys"],
        ["$open('/etc/passwd').read()"],
        ["$eval('1')"],
        ["$__import__('os').system('id')"],
        ["$lambda: 1"],
        ["$(lambda: 1)()"],
        ["$os.system('id')"],
        ["$torch.os.system('id')"],
        ["$torch.hub.load('a', 'b')"],
        ["$torch.load(@checkpoint)"],
        ["$@network.__class__.__init__.__globals__['os']"],
        ["$().__class__.__base__.__subclasses__()"],
        ["$[it.__class__ for it in @steps]"],
        ["$getattr(@network, 'to')()"],
        ["$@network.forward_hook()"],
        ["$(exit := 1)"],
        ["$f'{@seed}'"],
        ["$[open for open in @steps][0]('a')"],
        ["$@steps['load']('a')"],
        ["$os.environ.update(@steps)"],
        ["$torch.device('cpu').to.__self__"],
        {"a": "%train.json::network"},
    ],
    ids=json.dumps,
)
def test_what_is_not_listed_is_found(config: object) -> None:
    try:
        assert faults(config) != []
    except SyntaxError:
        assert "import os" in json.dumps(config)  # MONAI runs an import statement whole; here it must name one module


@pytest.mark.parametrize("file", sorted(ROOT.glob("bundles/*/configs/logging.conf")), ids=lambda file: file.parts[-3])
def test_logging_config_evaluates_nothing_but_its_stream(file: Path) -> None:
    """Python evaluates `class` and `args` of such files as code."""
    config = configparser.RawConfigParser()
    config.read(file)
    values = {(option, config[name][option]) for name in config.sections() for option in ("class", "args", "kwargs")
              if option in config[name]}  # fmt: skip
    assert values == {("class", "StreamHandler"), ("args", "(sys.stdout,)")}
