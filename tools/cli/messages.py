"""The library's messages as lines on standard error. A module of its own: `--help` is quicker without logging."""

from __future__ import annotations

import logging

from mri_tools.cli.output import complain, detail, say


class Messages(logging.Handler):
    """The library's messages: a line each, those of level debug with -v, warnings always."""

    def emit(self, record: logging.LogRecord) -> None:
        give = complain if record.levelno >= logging.WARNING else say if record.levelno >= logging.INFO else detail
        give(record.getMessage())


def listen() -> None:
    """Show the messages of the library from now on."""
    logger = logging.getLogger("mrilib")
    logger.addHandler(Messages())
    logger.setLevel(logging.DEBUG)
    logger.propagate = False  # TensorFlow gives the root logger a handler
