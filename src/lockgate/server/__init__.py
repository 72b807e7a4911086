"""The process on port 5000: MLflow's API and our own."""
