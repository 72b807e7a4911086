"""One folder for each outside system, and nothing that decides."""
