"""Write the bundles' JSON files so that they read like a page: one component a line, at most 120 characters.

Example:
    python scripts/format_configs.py bundles/*/configs/*.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from custom_transforms.atomic_file import whole_file

WIDTH = 120
SECTIONS = ("network_def", "steps", "train", "validate", "dataset", "initialize", "run")  # a blank line before each


def render(value: object, indent: int, room: int) -> str:
    """Render on one line if it fits into `room` characters, else open the outermost level."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= room or not isinstance(value, (dict, list)):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, list):
        body = f",\n{inner}".join(render(part, indent + 2, WIDTH - indent - 3) for part in value)
        return f"[\n{inner}{body}\n{' ' * indent}]"
    parts = [entry(key, part, indent + 2) for key, part in value.items()]
    if any("\n" in part for part in parts) or not is_component(value):
        body = f",\n{inner}".join(parts)
        return f"{{\n{inner}{body}\n{' ' * indent}}}"
    return "{" + fill(parts, WIDTH - room - 1, inner) + "}"


def is_component(value: dict[str, object]) -> bool:
    """Tell components, and dictionaries of plain values, from sections."""
    return "_target_" in value or not any(isinstance(part, (dict, list)) for part in value.values())


def entry(key: str, value: object, indent: int) -> str:
    name = f"{json.dumps(key)}: "
    return name + render(value, indent, WIDTH - indent - len(name) - 1)


def fill(parts: list[str], start: int, inner: str) -> str:
    """Put as many arguments on a line as fit; the first begins after `start` characters."""
    text, used = parts[0], start + 1 + len(parts[0])
    for part in parts[1:]:
        fits = used + len(part) + 4 <= WIDTH
        text += f", {part}" if fits else f",\n{inner}{part}"
        used = used + len(part) + 2 if fits else len(inner) + len(part)
    return text


def format_config(text: str) -> str:
    parts = []
    for key, value in json.loads(text).items():
        gap = "\n" if parts and key in SECTIONS else ""
        parts.append(f"{gap}  {entry(key, value, 2)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing; exit status 2 if a file would change")
    arguments = parser.parse_args()
    try:
        changed = [file for file in arguments.files if format_config(file.read_text()) != file.read_text()]
    except (OSError, ValueError) as error:
        parser.exit(2, f"format_configs: {error}\n")
    if arguments.check and changed:
        parser.exit(2, f"format_configs: expected its own format, got another in {', '.join(map(str, changed))}\n")
    for file in changed:
        with whole_file(file) as new:
            new.write_text(format_config(file.read_text()))


if __name__ == "__main__":
    main()
