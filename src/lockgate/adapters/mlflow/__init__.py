"""Everything Lockgate knows about MLflow."""
