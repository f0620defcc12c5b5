"""The error of a study, list or file that this project will not work on."""

from __future__ import annotations

from collections.abc import Iterator


class RefusedError(ValueError):
    """Input that must not go on, said in one line: `reason_code: file: expected …, got …`.

    One string is its only argument, because a data loader's worker rebuilds its exceptions from their text.

    Example:
        >>> raise RefusedError.of("constant_image", "p1_t1.nii.gz", expected="contrast", got="one value, 0")
    """

    exit_status = 3  # of a command that could not run; 2 where it ran and refused some of its input

    @property
    def reason_code(self) -> str:
        """Code at the head of the line."""
        return str(self).partition(":")[0]

    @classmethod
    def of(cls, reason_code: str, file: str, *, expected: str, got: str) -> RefusedError:
        """Build the line.

        Args:
            reason_code: short snake_case code that ledgers count by.
            file: name of the file within its study, or name of the case; nothing that was read from inside the file.
            expected: what would have been right.
            got: what came.
        """
        line = f"{reason_code}: {file}: expected {expected}, got {got}"
        return cls("".join(letter if letter.isprintable() else "?" for letter in line))  # names may hold line breaks

    @property
    def file(self) -> str:
        """The file or case that the line names."""
        return str(self).partition(": ")[2].partition(": expected ")[0]

    def renamed(self, file: str) -> RefusedError:
        """Give the same line with another name of the file."""
        return RefusedError(str(self).replace(f": {self.file}: ", f": {file}: ", 1))


class SomeRefusedError(RefusedError):
    """A run over many studies has come to its end, and some of them were refused."""

    exit_status = 2


class NotFiniteError(RefusedError):
    """Training has met too many steps without a finite loss or gradient."""

    exit_status = 70  # EX_SOFTWARE of sysexits.h


def refusal_in(error: BaseException) -> str | None:
    """Find the line of a refusal in an error or its causes; MONAI wraps what a transform raises."""
    found = [line for link in causes(error) if (line := refusal_in_text(link))]
    return found[-1] if found else None


def refusal_in_text(error: BaseException) -> str | None:
    """Find the line of a refusal in an error, or in the traceback that a data loader's worker sends as its text."""
    mark = f"{RefusedError.__module__}.{RefusedError.__qualname__}: "
    sent = [line.removeprefix(mark) for line in str(error).splitlines() if line.startswith(mark)]
    return sent[-1] if sent else str(error) if isinstance(error, RefusedError) else None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error, what caused it, what caused that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


WARNING = "warning: "


def warning(text: str) -> str:
    """Mark a note as one that a person should look at: what only a heuristic can see."""
    return WARNING + text


def last_line(error: BaseException) -> str:
    """Take the last line of an error's text, where libraries put the cause; its type where there is no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
