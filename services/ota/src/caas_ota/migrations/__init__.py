"""The SQL files that build this service's schema, in name order."""
