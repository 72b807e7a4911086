"""From the bytes of a request to a prediction, and from a prediction to the bytes of an answer."""
