"""What a run is, from its options to its end."""
