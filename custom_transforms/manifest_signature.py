"""Signatures of manifests by OpenSSH, whose keys many people have and whose program is nearly everywhere."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from custom_transforms.refusal import RefusedError

NAMESPACE = "neuro-oncology-bundle"  # a signature for another purpose, such as of a commit, does not hold here
TIMEOUT_S = 60


def verify_signature(content: bytes, signature: str | Path, allowed_signers: str | Path) -> str:
    """Check that one of the allowed signers signed exactly these bytes, as a bundle's manifest.

    Args:
        content: bytes of the manifest, as they will be parsed.
        signature: file as `ssh-keygen -Y sign` writes it.
        allowed_signers: who may sign, as `ssh-keygen(1)` describes under ALLOWED SIGNERS.

    Returns:
        Name of the signer, as `allowed_signers` has it.

    Raises:
        RefusedError: not signed by any of them, or for something else.
        OSError: a file cannot be read, or there is no `ssh-keygen`.
    """
    signature, allowed_signers = Path(signature), Path(allowed_signers)
    for file in (signature, allowed_signers):
        file.open("rb").close()  # else ssh-keygen's own message, which is the same for a bad signature
    program = shutil.which("ssh-keygen")
    if program is None:
        raise FileNotFoundError("expected OpenSSH's ssh-keygen (8.2 or newer), got none on PATH")
    files = ["-f", str(allowed_signers), "-s", str(signature)]
    found = _run([program, "-Y", "find-principals", *files], b"")
    signers = found.stdout.decode(errors="replace").splitlines()
    for signer in signers if found.returncode == 0 else []:
        checked = _run([program, "-Y", "verify", "-n", NAMESPACE, "-I", signer, *files], content)
        if checked.returncode == 0:
            return signer
    expected = f"a signature of these bytes for {NAMESPACE} by one of {allowed_signers.name}"
    raise RefusedError.of("wrong_signature", signature.name, expected=expected, got="none that holds")


def _run(command: list[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=content, capture_output=True, timeout=TIMEOUT_S, check=False)
