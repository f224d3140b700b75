"""Models: providers, protocols, requests, retries and limits."""
