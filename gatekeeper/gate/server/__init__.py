"""The strict HTTP server protocol that stands before everything else."""
