"""Places outside the database that signed checkpoints are written to."""
