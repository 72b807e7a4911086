"""The ways in which one loaded version can be asked for predictions."""
