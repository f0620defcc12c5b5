#!/usr/bin/env python
"""Say what this machine has and lacks for the bundles, and how to mend it. Exit status 0, or 3 where they cannot run.

Example:
    python scripts/doctor.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it must speak where nothing is installed

from custom_transforms.machine import examine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build"), help="of results; default: %(default)s")
    findings = list(examine(parser.parse_args().output))
    for finding in findings:
        mark = "ok" if not finding.remedy else "LACKS" if finding.needed else "could"
        print(f"{mark:5}  {finding.name:22}  {finding.found}")
        if finding.remedy:
            print(f"{'':31}  -> {finding.remedy}")
    lacking = [finding.name for finding in findings if finding.remedy and finding.needed]
    print(f"the bundles cannot run yet: {', '.join(lacking)}" if lacking else "the bundles can run here")
    return 3 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
