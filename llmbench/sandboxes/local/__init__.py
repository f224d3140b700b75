"""Sandboxes on this machine that need no container engine."""
