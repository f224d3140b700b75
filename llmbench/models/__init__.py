"""Models: who is asked, how, and what is tried again."""
