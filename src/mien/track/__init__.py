"""Faces over time."""
