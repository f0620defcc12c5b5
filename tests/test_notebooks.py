"""The notebooks: stored without outputs, and run from the first cell to the last on tiny phantoms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))
TINY = {
    "brats_attention_unet": "PATIENTS, SHAPE, EPOCHS = 5, (48, 48, 10), 1",
    "ct_metastasis_classifier": "PATIENTS, MATRIX, EPOCHS = 8, 192, 1",
}
PICTURES = {"brats_attention_unet": 3, "ct_metastasis_classifier": 4}

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_every_bundle_has_its_notebook() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(folder.name for folder in (ROOT / "bundles").iterdir())


@each_notebook
def test_no_outputs_are_stored(path: Path) -> None:
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


@each_notebook
def test_notebook_runs_and_leaves_nothing_behind(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    room = tmp_path / "project"
    for folder in (f"bundles/{path.stem}/configs", "docs"):
        shutil.copytree(ROOT / folder, room / folder)
    before = set(room.rglob("*"))
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    (place,) = (index for index, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(TINY[path.stem]))  # as papermill does
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(room / "docs")}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES[path.stem]
    assert set(room.rglob("*")) == before
    assert list((tmp_path / "TMPDIR").glob("tmp*")) == []  # torch leaves an empty folder of its own
