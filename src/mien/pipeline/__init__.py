"""From pictures and videos to predictions."""
