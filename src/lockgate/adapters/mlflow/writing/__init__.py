"""What the governed store writes into MLflow's tables, and how one change becomes one transaction."""
