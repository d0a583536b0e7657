"""Applying a model: classes, label maps patch by patch, ensembles, post-processing, and explanation."""
