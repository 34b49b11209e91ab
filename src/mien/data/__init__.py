"""Face sets: reading, writing, splitting, looking at and auditing faces with labels."""
