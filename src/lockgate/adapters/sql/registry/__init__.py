"""The one implementation of reads of MLflow's registry, for its routes, its store and ours."""
