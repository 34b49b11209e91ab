"""The commands `mien data ...`: one file a command."""
