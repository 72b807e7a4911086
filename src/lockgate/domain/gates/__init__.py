"""The gates by what they look at: the files, the metrics, the stages, and what others say of a version."""
