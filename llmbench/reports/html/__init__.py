"""Results as one HTML page that opens offline: figures, their tables, and every attempt."""
