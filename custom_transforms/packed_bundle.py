"""A bundle with all that it needs to run on a machine that has MONAI and nothing of this project."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from custom_transforms.atomic_file import sync_folder, unfinished_name, whole_file
from custom_transforms.file_hash import file_sha256
from custom_transforms.manifest import write_manifest
from custom_transforms.operating_point import read_operating_point
from custom_transforms.refusal import RefusedError

CODE = Path(__file__).parent
PARTS = ("LICENSE", "configs", "docs")
EXPORTED = "model.onnx"
OPERATING_POINTS = ("operating_point.json", "operating_point_samples.json")  # of one pass, and of samples
# no checkpoint to go on training from
WEIGHTS = ("model.pt", "model.safetensors", "model.ts", EXPORTED, *OPERATING_POINTS, "feature_statistics.safetensors")
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold: the same files give the same bytes


def files_to_pack(bundle: Path, *, with_weights: bool = True) -> dict[str, Path]:
    """List what belongs into a packed bundle; what runs have written, and caches, do not.

    Args:
        bundle: its folder.
        with_weights: also the trained network, and the thresholds that were chosen for it.

    Returns:
        place in the packed bundle, with `/`, to the file.

    Raises:
        RefusedError: a part is missing, is a link or another special file, or is an export or operating point of other
            weights.

    Example:
        >>> list(files_to_pack(Path("bundles/brats_attention_unet")))[:2]
        ['LICENSE', 'configs/demo.json']
    """
    files = {path.relative_to(bundle).as_posix(): path for part in PARTS for path in _files_of(bundle / part)}
    if with_weights:
        _require(bundle / "models" / WEIGHTS[0], "trained weights, which training writes")
        _require_own_export(bundle / "models" / EXPORTED, bundle / "models" / WEIGHTS[0])
        for point in filter(Path.is_file, (bundle / "models" / name for name in OPERATING_POINTS)):
            read_operating_point(point, bundle / "models" / WEIGHTS[0])
        files |= {f"models/{name}": bundle / "models" / name for name in WEIGHTS if (bundle / "models" / name).exists()}
    code = (path for path in _files_of(CODE) if path.suffix == ".py")
    files |= {f"{CODE.name}/{path.relative_to(CODE).as_posix()}": path for path in code}
    for place, path in files.items():
        if not stat.S_ISREG(path.lstat().st_mode):
            raise RefusedError.of("special_file", place, expected="a regular file", got="a link or a special file")
    return dict(sorted(files.items()))


def pack_bundle(bundle: Path, folder: Path, *, with_weights: bool = True) -> Path:
    """Copy a bundle into a new folder, byte for byte, with this package beside its configs and a manifest of hashes.

    Args:
        bundle: its folder.
        folder: the packed bundle, which appears whole or not at all.
        with_weights: see `files_to_pack`.

    Raises:
        RefusedError: see `files_to_pack`, or the folder is there already.
    """
    if folder.exists():
        raise RefusedError.of("folder_exists", folder.name, expected="a new folder", got="one that is there")
    files = files_to_pack(bundle, with_weights=with_weights)
    unfinished = folder.parent / unfinished_name()
    try:
        for place, path in files.items():
            (unfinished / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, unfinished / place)
        write_manifest(unfinished)
        unfinished.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def zip_bundle(folder: Path, path: Path) -> Path:
    """Write a packed bundle as a zip in which it is a folder, as `monai.bundle.download` unpacks it.

    Order, dates and permissions do not depend on the machine: the same files give the same bytes.

    Args:
        folder: a packed bundle.
        path: the zip, which appears whole or not at all.
    """
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(_files_of(folder)):
            entry = zipfile.ZipInfo(f"{folder.name}/{source.relative_to(folder).as_posix()}", FIRST_DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | 0o644) << 16
            entry.create_system = 3  # Unix, also where this is packed elsewhere
            with source.open("rb") as content, archive.open(entry, "w", force_zip64=True) as packed:
                shutil.copyfileobj(content, packed)
    return path


def bundle_version(bundle: Path) -> str:
    """Read the version that a bundle's metadata states."""
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return str(metadata["version"])


def _files_of(path: Path) -> Iterator[Path]:
    """A file, or all files below a folder without hidden ones; links are given as they are, not followed."""
    _require(path, "a part of every bundle")
    if not path.is_dir() or path.is_symlink():
        yield path
        return
    for child in sorted(path.iterdir()):
        if not child.name.startswith(".") and child.name != "__pycache__":
            yield from _files_of(child)


def _require_own_export(exported: Path, weights: Path) -> None:
    """Refuse an exported network that does not hold the hash of the weights, which stands there as text."""
    if exported.is_file() and file_sha256(weights).encode() not in exported.read_bytes():
        expected = f"one of {weights.name} (python scripts/export_backend.py BUNDLE writes it), or none"
        raise RefusedError.of("stale_export", exported.name, expected=expected, got="one of other weights")


def _require(path: Path, what: str) -> None:
    if not path.exists():
        raise RefusedError.of("missing_file", path.name, expected=what, got="none")
