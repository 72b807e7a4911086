"""One module for each thing that someone can ask for, and the ports they need."""
