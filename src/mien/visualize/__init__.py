"""Pictures, charts and summaries of predictions."""
