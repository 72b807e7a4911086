"""What each operation costs as the registry grows: flat, or not."""
