"""A bundle that differs from its manifest in anything is named before it is run, and nothing of it runs meanwhile."""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import CT, ROOT

from custom_transforms.manifest import differences, list_files, parse_manifest, write_manifest
from custom_transforms.refusal import RefusedError

TRAP = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A packed bundle: configs, weights, and code beside them that leaves a trace if anything imports it."""
    folder = tmp_path / "bundle"
    shutil.copytree(CT, folder, ignore=shutil.ignore_patterns("eval", "prepared", "*.pt", "*.safetensors"))
    (folder / "models/model.pt").write_bytes(b"weights")
    for name in ("custom_transforms/__init__.py", "custom_transforms/brain.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(TRAP)
    for name in ("eval/curves.png", "prepared/a/slices.npy"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"output")
    write_manifest(folder)
    return folder


def verify(bundle: Path, *options: str | Path) -> tuple[int, list[str]]:
    """Run the command, in the bundle's folder where imports might find its code; exit status and lines of errors."""
    command = [sys.executable, str(ROOT / "scripts/verify_bundle.py"), ".", *map(str, options)]
    done = subprocess.run(command, cwd=bundle, capture_output=True, text=True, check=False)
    assert not list(bundle.rglob("ran"))
    return done.returncode, done.stderr.splitlines()


def check(bundle: Path) -> list[str]:
    listed = parse_manifest((bundle / "manifest.json").read_bytes())
    return [str(found) for found in differences(bundle, listed)]


def test_untouched_bundle_is_as_its_manifest_says(bundle: Path) -> None:
    assert verify(bundle) == (0, [])
    content = json.loads((bundle / "manifest.json").read_text())
    paths = [file["path"] for file in content["files"]]
    assert content["format_version"] == 1
    assert paths == sorted(paths)
    assert {"configs/train.json", "docs/README.md", "LICENSE", "models/model.pt", "custom_transforms/brain.py"} < {
        *paths
    }
    assert not [path for path in paths if path.startswith(("eval", "prepared", "manifest"))]
    shutil.rmtree(bundle / "eval")
    (bundle / "prepared/more.npy").touch()
    assert check(bundle) == []


def change(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda bundle: (bundle / name).write_bytes(content)


def swap_same_size(bundle: Path) -> None:
    (bundle / "models/model.pt").write_bytes(b"wrights")


def link_file(bundle: Path) -> None:
    shutil.move(bundle / "LICENSE", bundle.parent / "LICENSE")
    (bundle / "LICENSE").symlink_to(bundle.parent / "LICENSE")


def link_output(bundle: Path) -> None:
    shutil.rmtree(bundle / "eval")
    (bundle / "eval").symlink_to(bundle.parent)


def compile_brain(bundle: Path) -> None:
    """Python takes such a cache without looking whether the source is the one that it was made of."""
    other = bundle.parent / "brain.py"
    other.write_text("raise SystemExit")
    cache = bundle / f"custom_transforms/__pycache__/brain.{sys.implementation.cache_tag}.pyc"
    py_compile.compile(str(other), str(cache), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


TAMPERINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "config changed": (change("configs/inference.json", b"{}"), "changed_file: configs/inference.json: expected"),
    "weights of the same size": (swap_same_size, "changed_file: models/model.pt: expected sha256"),
    "config added": (change("configs/own.json", b"{}"), "surplus_file: configs/own.json: expected nothing"),
    "module that hides another": (change("json.py", TRAP.encode()), "surplus_file: json.py"),
    "hidden file": (change("custom_transforms/.pth", b"x"), "surplus_file: custom_transforms/.pth"),
    "file lost": (lambda bundle: (bundle / "LICENSE").unlink(), "missing_file: LICENSE: expected a file, got none"),
    "link": (link_file, "special_file: LICENSE: expected a regular file, got a link"),
    "link to an output folder": (link_output, "special_file: eval: expected a regular file, got a link"),
    "named pipe": (lambda bundle: os.mkfifo(bundle / "docs/pipe"), "special_file: docs/pipe"),
    "code cache": (compile_brain, "code_cache: custom_transforms/__pycache__/brain."),
    "output folder elsewhere": (lambda bundle: shutil.copytree(bundle / "eval", bundle / "docs/eval"), "surplus_file"),
}


@pytest.mark.parametrize(("tamper", "named"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_tampering_is_named(bundle: Path, tamper: Callable[[Path], object], named: str) -> None:
    tamper(bundle)
    found = check(bundle)
    assert len(found) == 1
    assert found[0].startswith(named)


def test_command_names_every_difference_and_ends_with_2(bundle: Path) -> None:
    for name in ("config changed", "module that hides another", "code cache", "file lost"):
        TAMPERINGS[name][0](bundle)
    (bundle / "docs/a\x1b[31m\n").touch()  # no way to write on somebody's terminal
    status, lines = verify(bundle)
    assert status == 2
    assert sorted(line.split(":")[0] for line in lines) == [
        "changed_file", "code_cache", "missing_file", "surplus_file", "surplus_file"]  # fmt: skip
    assert any("docs/a?[31m?:" in line for line in lines)


def test_caches_and_links_keep_a_manifest_from_being_written(bundle: Path) -> None:
    compile_brain(bundle)
    assert verify(bundle, "--write")[0] == 2
    shutil.rmtree(bundle / "custom_transforms/__pycache__")
    assert verify(bundle, "--write") == (0, [])
    (bundle / "docs/link").symlink_to("data_license.txt")
    with pytest.raises(RefusedError, match="special_file: docs/link"):
        list_files(bundle)


def entry(**changes: object) -> bytes:
    return json.dumps(
        {"format_version": 1, "files": [{"path": "LICENSE", "size": 1, "sha256": "0" * 64} | changes]}
    ).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"format_version": 1}',
        b'{"format_version": 2, "files": []}',
        entry(path="../LICENSE"),
        entry(path="/etc/passwd"),
        entry(path="a//b"),
        entry(path="a\\b"),
        entry(path=""),
        entry(path=3),
        entry(size="1"),
        entry(size=True),
        entry(sha256="0" * 63),
        entry(mode=1),
        entry()[:-2] + b"," + entry()[entry().index(b'[{"') + 1 :],
    ],
)
def test_damaged_manifest_is_refused(raw: bytes) -> None:
    with pytest.raises(RefusedError, match="^(damaged_manifest|other_manifest_format): manifest.json: expected"):
        parse_manifest(raw)


def test_what_cannot_be_told_ends_with_3(bundle: Path, tmp_path: Path) -> None:
    for options in (["--manifest", tmp_path / "none.json"], ["--signature", tmp_path / "a.sig"]):
        status, lines = verify(bundle, *options)
        assert (status, len(lines)) == (3, 1)
        assert lines[0].startswith("could_not_verify: ")
    (tmp_path / "empty").mkdir()
    assert verify(tmp_path / "empty")[0] == 3


def test_bundles_own_copy_of_the_verifier_is_not_believed(bundle: Path) -> None:
    for name in ("manifest", "manifest_signature", "refusal", "atomic_file", "file_hash", "__init__"):
        shutil.copy(ROOT / f"custom_transforms/{name}.py", bundle / "custom_transforms")
    write_manifest(bundle)
    command = [sys.executable, "-B", str(ROOT / "scripts/verify_bundle.py"), str(bundle)]
    environment = {**os.environ, "PYTHONPATH": str(bundle)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "expected a verifier from elsewhere" in done.stderr


@pytest.fixture
def signer(tmp_path: Path) -> Path:
    """A key, and the file of those who may sign beside it."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text().split(" ")
    (tmp_path / "signers").write_text(
        f'releases@example.org namespaces="neuro-oncology-bundle" {" ".join(public[:2])}\n'
    )
    return key


def sign(key: Path, file: Path, namespace: str = "neuro-oncology-bundle") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(file)], check=True)
    return file.with_name(f"{file.name}.sig")


def test_signed_manifest_holds_until_a_byte_of_it_changes(bundle: Path, signer: Path, tmp_path: Path) -> None:
    signature = sign(signer, bundle / "manifest.json")
    options = ("--signature", signature, "--allowed-signers", tmp_path / "signers")
    assert verify(bundle, *options) == (0, [])
    (bundle / "configs/inference.json").write_text("{}")
    write_manifest(bundle)  # as somebody who changes both would
    assert check(bundle) == []
    status, lines = verify(bundle, *options)
    assert status == 2
    assert lines[0].startswith("wrong_signature: manifest.json.sig: expected a signature of these bytes")


def test_signature_of_a_stranger_or_for_another_purpose_is_refused(bundle: Path, signer: Path, tmp_path: Path) -> None:
    options = ("--signature", bundle / "manifest.json.sig", "--allowed-signers", tmp_path / "signers")
    sign(signer, bundle / "manifest.json", namespace="git")
    assert verify(bundle, *options)[0] == 2
    (tmp_path / "signers").write_text("")
    (bundle / "manifest.json.sig").unlink()
    sign(signer, bundle / "manifest.json")
    assert verify(bundle, *options)[0] == 2
