"""What goes up to the Hugging Face hub is the packed bundle and its model card, and nothing that runs have left."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import HfApi
from monai.bundle import push_to_hf_hub

from custom_transforms.manifest import parse_manifest
from custom_transforms.packed_bundle import pack_bundle

Called = list[tuple[str, object]]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Called:
    """Calls of the hub's methods; of an upload every file below the folder, hidden ones too."""
    calls: Called = []

    def create_repo(api: HfApi, *, repo_id: str, private: bool, exist_ok: bool) -> None:
        calls.append(("create_repo", private))

    def upload_folder(api: HfApi, *, repo_id: str, folder_path: str) -> str:
        folder = Path(folder_path)
        calls.append(("upload", {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}))
        return "address"

    def create_tag(api: HfApi, *, repo_id: str, tag: str, exist_ok: bool) -> None:
        calls.append(("create_tag", tag))

    for method in (create_repo, upload_folder, create_tag):
        monkeypatch.setattr(HfApi, method.__name__, method)
    return calls


def test_of_a_used_bundle_only_what_the_manifest_lists_goes_up(used: Path, called: Called, tmp_path: Path) -> None:
    packed = pack_bundle(used, tmp_path / "packed" / used.name)
    listed = {file.path for file in parse_manifest((packed / "manifest.json").read_bytes())}
    push_to_hf_hub("someone/heads", used.name, str(tmp_path / "packed"), version="0.1.0")
    expected = listed | {"manifest.json", "README.md"}
    assert called == [("create_repo", True), ("upload", expected), ("create_tag", "0.1.0")]
    assert {"models/model.pt", "models/operating_point.json", "configs/inference.json"} <= listed
    assert not [path for path in listed if "training.pt" in path or path.endswith((".png", ".pyc", ".swp"))]
    assert not [path for path in listed if path.startswith(("eval/", "prepared/", "models/milestones/"))]
    assert (packed / "README.md").read_text().endswith((used / "docs/README.md").read_text())


def test_folder_that_was_not_packed_would_give_away_what_runs_left(used: Path, called: Called) -> None:
    push_to_hf_hub("someone/heads", used.name, str(used.parent))
    uploaded = dict(called)["upload"]
    assert {"models/training.pt", "eval/patients.csv", "prepared/a/slices.npy", "configs/.train.json.swp"} <= uploaded
