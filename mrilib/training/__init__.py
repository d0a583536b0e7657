"""Fitting a model: batches, the loop, schedules, early stop, resume."""
