"""A case's name as a file's name."""

from __future__ import annotations

import re


def file_stem(case: str) -> str:
    """Make a case's name safe as a file's name: letters, digits, `.`, `_`, `-`, not starting with a dot."""
    return re.sub(r"[^\w.-]|^\.", "_", case, flags=re.ASCII)
