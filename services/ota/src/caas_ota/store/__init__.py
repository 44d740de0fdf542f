"""The SQL of ota: one statement per function, set-based, nothing else."""
