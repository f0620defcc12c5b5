#!/usr/bin/env python
"""Compare every file of a bundle with its manifest BEFORE the bundle is run, because a bundle's config is code.

Exit status 0: the same; 2: something differs, or the signature does not hold, each named on standard error; 3: it could
not be told. Nothing of the bundle is imported or run. A manifest that came with the bundle shows damage only: against
malice, take it from elsewhere (--manifest) or check who signed it (--signature, --allowed-signers).

Examples:
    python scripts/verify_bundle.py BUNDLE --signature BUNDLE/manifest.json.sig --allowed-signers SIGNERS
    python scripts/verify_bundle.py BUNDLE --write
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from custom_transforms import manifest
from custom_transforms.manifest_signature import verify_signature
from custom_transforms.refusal import RefusedError


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="the bundle's folder, which holds configs/")
    parser.add_argument("--manifest", type=Path, help="default: manifest.json in the folder")
    parser.add_argument("--signature", type=Path, help="of the manifest, as SECURITY.md tells to make it")
    parser.add_argument("--allowed-signers", type=Path, help="who may sign; see ALLOWED SIGNERS in ssh-keygen(1)")
    parser.add_argument("--write", action="store_true", help="write the manifest of the folder as it is")
    return parser


def verify(arguments: argparse.Namespace) -> list[RefusedError]:
    path = arguments.manifest or arguments.bundle / manifest.NAME
    content = path.read_bytes()
    if arguments.signature:
        signer = verify_signature(content, arguments.signature, arguments.allowed_signers)
        print(f"manifest signed by {signer}")
    listed = manifest.parse_manifest(content, path.name)
    found = manifest.differences(arguments.bundle, listed)
    if not found:
        print(f"{len(listed)} files are as {path} says")
    return found


def main() -> int:
    parser = build_parser()
    arguments = parser.parse_args()
    try:
        if not (arguments.bundle / "configs").is_dir():
            raise NotADirectoryError(f"{arguments.bundle}: expected a bundle's folder, with configs/ in it")
        if (arguments.signature is None) != (arguments.allowed_signers is None):
            raise ValueError("expected --signature and --allowed-signers together, got one of them")
        if Path(manifest.__file__).resolve().is_relative_to(arguments.bundle.resolve()):
            raise ValueError("expected a verifier from elsewhere, got the bundle's own copy")
        if arguments.write:
            print(manifest.write_manifest(arguments.bundle, arguments.manifest))
            return 0
        found = verify(arguments)
    except RefusedError as error:
        found = [error]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        print(f"could_not_verify: {error}", file=sys.stderr)
        return 3
    for line in found:
        print("".join(letter if letter.isprintable() else "?" for letter in str(line)), file=sys.stderr)
    return 2 if found else 0


if __name__ == "__main__":
    sys.exit(main())
