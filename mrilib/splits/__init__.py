"""Splits: which cases are for training, validation and test, without dividing a group of cases that stay together."""

from mrilib.splits.given import EXCLUDED, given_parts, leaks, make_given
from mrilib.splits.stratify import SHARE, Row, grouping, make, make_some
from mrilib.splits.table import parts, read, training_cases, write

__all__ = ["EXCLUDED", "SHARE", "Row", "given_parts", "grouping", "leaks", "make", "make_given", "make_some", "parts",
           "read", "training_cases", "write"]  # fmt: skip
