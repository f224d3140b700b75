"""Output for people: tables and progress in the terminal, and the HTML page."""
