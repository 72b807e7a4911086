"""MLflow's registry, governed: its own store with every change judged, recorded and committed together with ours."""
