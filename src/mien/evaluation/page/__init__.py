"""The evaluation as one HTML page: figures, and a sentence under each."""
