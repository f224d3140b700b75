"""What a run leaves: its journal, its tables, its work folder."""
