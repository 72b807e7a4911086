"""Everything Lockgate knows about starting, watching and ending processes."""
