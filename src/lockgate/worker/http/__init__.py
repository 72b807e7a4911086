"""The HTTP edge of a worker: connections, requests, answers."""
