"""Everything Lockgate knows about its own tables."""
