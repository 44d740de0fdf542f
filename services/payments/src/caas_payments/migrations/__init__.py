"""The schema of the payments database, as numbered SQL files."""
