"""Applying a model: classes now, windows and label maps next; and explaining it."""
