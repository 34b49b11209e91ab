"""The evaluation of models: how good, how sure and how fast they are."""
