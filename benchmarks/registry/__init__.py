"""Lockgate's registry measured beside stock MLflow's, on the same content, in the same run."""
