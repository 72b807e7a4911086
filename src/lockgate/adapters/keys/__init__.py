"""Keys, each in a file of the owner's own or given by whoever starts us: the record's checkpoints are signed with one
(Ed25519), the secrets of webhooks stored under another."""
