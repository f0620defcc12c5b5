"""Stand at the head of a config's `run`: refuse misspelt options, and end with one clear line when something fails."""

from __future__ import annotations

import difflib
import errno
import inspect
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import cast

import monai.bundle
from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from custom_transforms.interruption import ADVICE, INTERRUPTION, RESUME_ME
from custom_transforms.refusal import RefusedError, causes, refusal_in_text

TRACKING_KEYS = cast(dict[str, object], DEFAULT_MLFLOW_SETTINGS["configs"])
# What writers of Python, numpy, torch and safetensors say of a full disk, a quota or a limit
DISK_FULL = re.compile(
    rf"(\[Errno|os error) ({errno.ENOSPC}|{errno.EDQUOT}|{errno.EFBIG})\b|\d+ requested and \d+ written"
    r"|inline_container\.cc:\d+\] \. unexpected pos|PytorchStreamWriter failed writing"
)
DISK_FULL_LINE = "disk_full: output: expected room for what is written, got none; files that are there are whole"
WORKER_ENDED = re.compile("DataLoader worker .* killed by signal: Terminated")  # so a scheduler wants the run to end
OWN_OPTIONS = {*inspect.signature(monai.bundle.run).parameters, *TRACKING_KEYS}
KEYS_OF_ANY_COMPONENT = ("_disabled_", "_desc_", "_mode_", "_requires_")
WORDS_UNDERSTOOD = ("resume", "_disabled_")  # options for which the words true and false are as good as the values


def guard_run(bundle_root: str) -> None:
    """Check the command line of `python -m monai.bundle run`, and have errors and signals end it as a script expects.

    Errors of this project end in one line and an exit status; SIGTERM and SIGUSR1 end in the status "resume me".

    MONAI takes an option that no config knows without a word. When another program built the config, this does
    nothing.

    Args:
        bundle_root: folder that holds `configs`.

    Raises:
        RefusedError: an option names nothing in the config, is the word `true` or `false`, or would lose what is
            tracked; or `bundle_root` has no `configs`.
    """
    main = getattr(sys.modules["__main__"], "__spec__", None)
    if main is None or main.name != "monai.bundle.__main__" or sys.argv[1:2] != ["run"]:
        return
    sys.excepthook = end_run
    INTERRUPTION.catch()
    options = dict(_options(sys.argv[2:]))
    if args_file := options.get("args_file"):
        options = {**ConfigParser.load_config_file(str(args_file)), **options}
    refuse_unknown_ids(options)
    refuse_words_for_truth(options)
    refuse_plain_output_when_tracked(options)
    if not (Path(bundle_root) / "configs").is_dir():
        expected = "--bundle_root to name the folder that holds configs/"
        raise RefusedError.of("wrong_bundle_root", str(bundle_root), expected=expected, got="a folder without it")


def refuse_unknown_ids(options: dict[str, object]) -> None:
    """Refuse options that neither MONAI nor the config files know.

    Args:
        options: of the command line, `config_file` among them.
    """
    files = DefaultParseValue(str(options.get("config_file", "")))
    parser = ConfigParser()
    parser.read_config(files)
    known = [*OWN_OPTIONS, *_ids(parser.get(), "")]
    for option in options:
        name = option.lstrip("+").replace("#", "::")
        parent, _, leaf = name.rpartition("::")
        if name not in known and not (leaf in KEYS_OF_ANY_COMPONENT and parent in known):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean --{close[0]}?)" if close else ""
            raise RefusedError.of("unknown_option", f"--{option}", expected=f"an id of the config{hint}", got="none")


def refuse_words_for_truth(options: dict[str, object]) -> None:
    """Refuse `--option false`: Fire hands it on as a word, and any word counts as true.

    Args:
        options: of the command line.
    """
    for option, given in options.items():
        value = DefaultParseValue(given) if isinstance(given, str) else given
        if isinstance(value, str) and value.lower() in ("true", "false") and not option.endswith(WORDS_UNDERSTOOD):
            raise RefusedError.of("word_for_truth", f"--{option}", expected="True or False, capitalised", got=value)


def refuse_plain_output_when_tracked(options: dict[str, object]) -> None:
    """Refuse `--tracking` with a plain `--output_dir`.

    MONAI 1.6.1 makes the place of the executed config by writing ` + '/config_….json'` behind the text of `output_dir`
    (`ConfigWorkflow.patch_bundle_tracking`): with anything but an expression the run ends without that artifact.

    Args:
        options: of the command line.
    """
    output = str(options.get("output_dir", "$"))
    if options.get("tracking") and "save_execute_config" not in options and not output.startswith("$"):
        expected = f"an expression, '$\"{output}\"': with --tracking MONAI loses the config otherwise"
        raise RefusedError.of("plain_output_dir", "--output_dir", expected=expected, got="a plain path")


def end_run(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error of this project as one line on standard error, any other with its traceback, and exit.

    Raises:
        SystemExit: with the status that tells a script what to do next; see docs/training.md. Python gives an exit
            status of 1 after any error whose hook does not.
    """
    chain = list(causes(error))
    if INTERRUPTION.asked or any(WORKER_ENDED.search(str(link)) for link in chain):
        line, status = ADVICE, RESUME_ME
    else:
        found = [ending for link in chain if (ending := _ending(link))]
        if not found:
            traceback.print_exception(kind, error, trace)
            return
        line, status = found[-1]
    print(f"\n{line}", file=sys.stderr, flush=True)  # a progress bar may stand in the line before
    raise SystemExit(status)


def _ending(error: BaseException) -> tuple[str, int] | None:
    """Give the line and the exit status of an error of this project, or of the outside world that it knows."""
    if DISK_FULL.search(str(error)):
        return (DISK_FULL_LINE, RefusedError.exit_status)
    line = refusal_in_text(error) or (str(error) if _is_raised_here(error) else "")
    return (line, getattr(error, "exit_status", RefusedError.exit_status)) if line else None


def _is_raised_here(error: BaseException) -> bool:
    """Tell whether a wrong setting was refused by one of this project's components, with a plain ValueError."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return (
        type(error) is ValueError
        and bool(frames)
        and frames[-1].f_globals.get("__name__", "").startswith("custom_transforms.")
    )


def _options(words: list[str]) -> Iterator[tuple[str, object]]:
    """Give names and values of `--name value`, `-name=value` and `--flag`, as Fire reads them."""
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        if re.match("--?[A-Za-z_+]", word):
            name, equals, value = word.lstrip("-").partition("=")
            yield name.replace("-", "_"), value if equals else following


def _ids(config: object, prefix: str) -> Iterator[str]:
    parts = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for key, part in parts:
        yield f"{prefix}{key}"
        yield from _ids(part, f"{prefix}{key}::")
