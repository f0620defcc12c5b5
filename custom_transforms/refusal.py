"""The error of a study, list or file that this project will not work on."""

from __future__ import annotations


class RefusedError(ValueError):
    """Input that must not go on, said in one line: `reason_code: file: expected …, got …`.

    One string is its only argument, because a data loader's worker rebuilds its exceptions from their text.

    Example:
        >>> raise RefusedError.of("constant_image", "p1_t1.nii.gz", expected="contrast", got="one value, 0")
    """

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


def last_line(error: BaseException) -> str:
    """Take the last line of an error's text, where libraries put the cause; its type where there is no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
