"""Places that run a submission's tests, confined."""
