"""The search for the settings of a training: what is tried, one folder for each trial, and what the results say."""
