"""What a custom rule costs: by itself, and within a transition."""
