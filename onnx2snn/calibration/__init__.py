"""Calibration: scales, initial estimates and step sizes from data, weights untouched."""
