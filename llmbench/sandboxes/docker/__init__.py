"""Docker, or any engine that speaks its API."""
