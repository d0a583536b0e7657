"""The errors of the library: what is wrong, where, and what to do about it."""

from __future__ import annotations


class MriError(Exception):
    """An error that the user can mend. `where` names the file or case, `remedy` says what to do.

    Its text is `where: what (remedy)`, the line that a tool prints after its name.
    """

    def __init__(self, what: str, *, where: object = None, remedy: str | None = None):
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        head = f"{self.where}: " if self.where is not None else ""
        tail = f" ({self.remedy})" if self.remedy else ""
        return f"{head}{self.what}{tail}".replace("\n", " ")

    def as_kind(self, kind: type[MriError], where: object = None) -> MriError:
        """The same error as one of another kind; where: what it names if it names nothing yet."""
        return kind(self.what, where=self.where or where, remedy=self.remedy)

    def __reduce__(self):  # keeps its parts on the way from a worker process to its parent
        return (_rebuild, (type(self), self.what, self.where, self.remedy))


def _rebuild(kind, what, where, remedy):
    return kind(what, where=where, remedy=remedy)


def one_line(error: BaseException) -> str:
    """The text of an error of another package in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


class CaseError(MriError):
    """One case fails; the others are processed (exit 1)."""


class UsageError(MriError):
    """The command is wrong; nothing is done (exit 2)."""


class MachineError(MriError):
    """The machine cannot: no such device, no memory, no space (exit 3)."""
