"""Applying a model: classes, windows and label maps, ensembles, post-processing; and explaining it."""
