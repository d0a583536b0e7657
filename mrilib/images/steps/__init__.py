"""Preprocessing steps, one file per kind."""
