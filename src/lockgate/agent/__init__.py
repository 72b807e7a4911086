"""The supervisor of one machine's workers."""
