"""Keys that sign the record's checkpoints: Ed25519, in a file of the owner's own or given by whoever starts us."""
