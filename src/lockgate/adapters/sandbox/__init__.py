"""Everything Lockgate knows about running somebody's model in a child that it may kill."""
