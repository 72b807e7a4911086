"""Which version on this machine answers a request, and how the request gets there."""
