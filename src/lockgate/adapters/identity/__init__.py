"""What is kept of a password, and how it is compared."""
