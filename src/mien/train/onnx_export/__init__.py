"""From a run to a model file."""
