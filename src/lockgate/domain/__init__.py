"""What is true, allowed and next: pure values and decisions, no input or output."""
