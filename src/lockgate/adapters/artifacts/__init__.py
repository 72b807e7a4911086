"""Everything Lockgate knows about where the files of a version lie."""
