"""Measurements behind the figures of README and docs; results are JSON files in results/."""
