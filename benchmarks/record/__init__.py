"""What the record costs when it is long: placing, verifying, exporting and proving."""
