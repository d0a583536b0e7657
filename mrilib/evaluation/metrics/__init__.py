"""Metrics: functions of arrays, one file per kind."""
