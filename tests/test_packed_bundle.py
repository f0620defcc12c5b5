"""A packed bundle runs where nothing of this project and no extra is, and the same bundle gives the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import BRATS, CT, ROOT

from custom_transforms.file_hash import file_sha256
from custom_transforms.manifest import differences, parse_manifest
from custom_transforms.packed_bundle import files_to_pack, pack_bundle, zip_bundle
from custom_transforms.refusal import RefusedError

NOTHING_OF_OURS = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path = [place for place in sys.path if place != {root!r}]
for absent in ("data_lists", "cv2", "highdicom", "numba"):
    sys.modules[absent] = None
"""
SMALL_UNET = {"channels": "[4,8,16,32,64]", "num_workers": 0}
SMALL_RESNET = {"image_size": 64, "widths": "[8,16,32,64]", "num_workers": 0}


def test_what_runs_and_editors_leave_is_not_packed(used: Path) -> None:
    files = set(files_to_pack(used))
    own = {file for file in files if not file.startswith("custom_transforms/")}
    sources = [CT / "LICENSE", *(CT / "configs").iterdir(), *(CT / "docs").iterdir()]
    expected = {path.relative_to(CT).as_posix() for path in sources}
    assert own == expected | {"models/model.pt", "models/operating_point.json"}
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "custom_transforms").rglob("*.py")}
    assert files - own == code
    assert not any(file.startswith("models") for file in files_to_pack(used, with_weights=False))


def test_copy_is_byte_identical_and_as_its_manifest_says(used: Path, tmp_path: Path) -> None:
    packed = pack_bundle(used, tmp_path / "packed")
    for place, path in files_to_pack(used).items():
        assert (packed / place).read_bytes() == path.read_bytes()
    assert differences(packed, parse_manifest((packed / "manifest.json").read_bytes())) == []
    assert sorted(tmp_path.iterdir()) == [tmp_path / "packed", tmp_path / "used"]


def test_packed_twice_the_zips_are_equal(used: Path, tmp_path: Path) -> None:
    zips = []
    for time in ("first", "second"):
        packed = pack_bundle(used, tmp_path / time / used.name)
        for number, path in enumerate(packed.rglob("*")):
            os.utime(path, (number, number * 10**6))
            path.chmod(0o755 if path.is_dir() else 0o600)
        zips.append(zip_bundle(packed, tmp_path / f"{time}.zip"))
    assert zips[0].read_bytes() == zips[1].read_bytes()
    with zipfile.ZipFile(zips[0]) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {used.name}


def test_bundle_without_weights_with_a_link_or_packed_before_is_refused(used: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(RefusedError, match="folder_exists: there"):
        pack_bundle(used, tmp_path / "there")
    (used / "docs/link").symlink_to("/etc/passwd")
    with pytest.raises(RefusedError, match="special_file: docs/link"):
        pack_bundle(used, tmp_path / "packed")
    (used / "models/model.pt").unlink()
    with pytest.raises(RefusedError, match="missing_file: model.pt"):
        pack_bundle(used, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_exported_network_travels_if_it_is_of_these_weights(used: Path) -> None:
    exported = used / "models/model.onnx"
    exported.write_bytes(b"..." + file_sha256(used / "models/model.pt").encode() + b"...")
    assert "models/model.onnx" in files_to_pack(used)
    (used / "models/model.pt").write_bytes(b"trained again")
    with pytest.raises(RefusedError, match="stale_export: model.onnx"):
        files_to_pack(used)


@pytest.mark.parametrize("name", ["operating_point.json", "operating_point_samples.json"])
def test_operating_point_of_other_weights_does_not_travel(used: Path, name: str) -> None:
    point = (used / "models/operating_point.json").rename(used / "models" / name)
    assert f"models/{name}" in files_to_pack(used)
    (used / "models/model.pt").write_bytes(b"trained again")
    with pytest.raises(RefusedError, match=f"operating_point_of_other_weights: {name}"):
        files_to_pack(used)
    point.unlink()
    assert "models/model.pt" in files_to_pack(used)


def run(bundle: Path, run_id: str, *configs: str, **options: object) -> None:
    """Run from the bundle's folder, where nothing of this project can be imported from elsewhere."""
    guard = bundle.parent / "guard"
    guard.mkdir(exist_ok=True)
    (guard / "sitecustomize.py").write_text(NOTHING_OF_OURS.format(root=str(ROOT)))
    files = str([f"configs/{name}.json" for name in configs])
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", files, *words]
    environment = {**os.environ, "PYTHONPATH": str(guard), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, cwd=bundle, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def unpacked(bundle: Path, folder: Path) -> Path:
    """The bundle, packed by the command and unzipped elsewhere."""
    command = [sys.executable, ROOT / "scripts/pack_bundle.py", bundle, "--output", folder / "out", "--without-weights"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(done.stdout.splitlines()[-1]) as archive:
        archive.extractall(folder / "elsewhere")
    return folder / "elsewhere" / bundle.name


def test_segmenter_trains_evaluates_and_infers_elsewhere(phantoms: Path, tmp_path: Path) -> None:
    bundle = unpacked(BRATS, tmp_path)
    run(bundle, "training", "train", "smoke", dataset_dir=phantoms, slice_size="[48,48]", **SMALL_UNET)
    run(bundle, "evaluating", "train", "evaluate", dataset_dir=phantoms, **SMALL_UNET)
    run(bundle, "inference", "inference", dataset_dir=phantoms, **SMALL_UNET)
    assert (bundle / "eval/report.html").stat().st_size > 50_000  # figures are in it
    assert len(list((bundle / "eval/masks").glob("*_mask.nii.gz"))) == 2


def test_classifier_trains_evaluates_and_infers_elsewhere(heads: Path, tmp_path: Path) -> None:
    bundle = unpacked(CT, tmp_path)
    run(bundle, "training", "train", "smoke", dataset_dir=heads, **SMALL_RESNET)
    run(bundle, "evaluating", "train", "evaluate", dataset_dir=heads, **SMALL_RESNET)
    run(bundle, "inference", "inference", dataset_dir=heads, **SMALL_RESNET)
    assert (bundle / "eval/report.html").stat().st_size > 50_000  # figures are in it
    assert len((bundle / "eval/predictions/predictions.csv").read_text().splitlines()) == 1 + 3
