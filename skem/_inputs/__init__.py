"""What users pass in: the one place that knows it."""
