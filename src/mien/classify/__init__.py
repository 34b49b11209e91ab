"""Classifiers: face crops in, scores out."""
