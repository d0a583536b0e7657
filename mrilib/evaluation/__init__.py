"""Scores of predictions: submissions, pairing, metrics, statistics, leaderboard."""
