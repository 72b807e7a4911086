"""MLflow's registry API, governed."""
