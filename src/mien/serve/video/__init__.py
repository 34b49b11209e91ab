"""Clips that are read as jobs: the queue of jobs, the work, and the folder that they lie in."""
