"""Training inputs: augmented, mixed batches."""
