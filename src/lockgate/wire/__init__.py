"""The shapes that cross the network, and nothing of the inside."""
