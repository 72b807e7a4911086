"""Everything Lockgate knows about the policy file."""
