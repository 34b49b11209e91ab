"""The audit of a face set: a search for faults, a page to look at them, and the cleaning."""
