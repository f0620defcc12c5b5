"""Every reason for which a study can be refused is explained."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from conftest import ROOT

# put together where they are raised
BUILT = {"only_localizers", "only_derived_images", "only_captures", "only_other_objects", "mixed_series"}
BUILT |= {"several_series", "truncated_pixels", "surplus_pixels", "too_large", "timed_out", "killed_worker", "no_room"}


def modules_below(name: str, found: set[Path]) -> set[Path]:
    """Files of a module and of all that it imports from the package."""
    file = ROOT / (name.replace(".", "/") + ".py")
    if not re.fullmatch(r"custom_transforms[\w.]+", name) or not file.is_file() or file in found:
        return found
    found.add(file)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules_below(node.module, found)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            modules_below(node.value.partition(":")[0], found)  # what the isolated process is asked to call
    return found


def codes(file: Path) -> set[str]:
    """First arguments of `RefusedError.of` that stand there as texts."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    first = [call.args[0] for call in calls if ast.unparse(call.func) == "RefusedError.of"]
    return {str(code.value) for code in first if isinstance(code, ast.Constant)}


def test_every_reason_code_of_a_study_is_explained() -> None:
    files = modules_below("custom_transforms.check_study", set())
    raised = set().union(*(codes(file) for file in files))
    assert {"missing_slice", "grid_mismatch", "not_a_head", "sform_against_qform", "unsafe_archive"} <= raised
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|.*?\|", (ROOT / "docs/checking.md").read_text(), re.M))))
    assert (raised | BUILT) - told == set()
