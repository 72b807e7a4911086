"""What a worker counts, logs and traces of the requests it answers."""
