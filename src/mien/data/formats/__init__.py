"""Readers and writers of every form that faces with labels come in."""
