"""The options of each command; importing this package must load nothing slow."""

FORMATS = ("text", "json", "markdown")
