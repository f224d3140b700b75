"""The files of a run: its journal, tables, record and work folder."""
