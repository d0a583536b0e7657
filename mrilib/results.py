"""Results that come case by case: what ends a run, what one case's failure is, and the defaults of library functions.

Functions that go over cases take `on_error`, which is given the CaseError of each case that failed (default: it is
logged as a warning), and `progress(label, total, unit)`, which gives a context manager with step(n=1) and note(text).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mrilib.errors import CaseError, MachineError, MriError, UsageError

ENDING = (MachineError, UsageError, MemoryError, KeyboardInterrupt)  # errors of a case that end the run of all
REPORT = "MRI_DEBUG=1 shows where; please report it"


class Silent:
    """The progress of a caller who wants none."""

    def __init__(self, label: str = "", total: int | None = None, unit: str = "case"):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def step(self, n: int = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def of_case(case, error: BaseException) -> CaseError:
    """Whatever went wrong with a case as a CaseError that names the case. case: a Case, a name, or None."""
    if isinstance(error, CaseError) and (error.where is not None or case is None or case is error):
        return error
    where = getattr(case, "path", case)
    if isinstance(error, MriError):
        case_error = CaseError(error.what if error.where is None else f"{error.where}: {error.what}", where=where,
                               remedy=error.remedy)
    else:
        case_error = CaseError(f"unexpected {type(error).__name__}: {error}", where=where, remedy=REPORT)
    case_error.__cause__ = error
    return case_error


def warn(error: CaseError) -> None:
    """The default of on_error: the case that failed is named in the log."""
    import logging

    logging.getLogger("mrilib").warning("%s", error)


def collected(results: Iterable, label: str, *, total: int | None = None,
              on_error: Callable[[CaseError], None] | None = None, progress: Callable | None = None) -> list:
    """The results of (case, result or exception), in order; the cases that failed are handed to on_error.

    Raises the error itself where it ends the run, and the first case's error where no case succeeded.
    """
    done, first = [], None
    with (progress or Silent)(label, total) as bar:
        for case, result in results:
            if isinstance(result, ENDING):
                raise result
            if isinstance(result, BaseException):
                error = of_case(case, result)
                first = first or error
                (on_error or warn)(error)
            else:
                done.append(result)
            bar.step()
    if not done:
        raise first or CaseError("nothing to do", remedy="no case came")
    return done
