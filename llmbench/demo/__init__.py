"""The demo: a server that replays recorded answers, and the recordings."""
