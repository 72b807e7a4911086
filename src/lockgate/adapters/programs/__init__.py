"""Everything Lockgate knows about starting programs that hold somebody's model: forked from one that waits, or cold."""
