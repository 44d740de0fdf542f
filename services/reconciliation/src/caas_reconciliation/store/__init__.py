"""Plain SQL: one statement per function, for a whole set of rows at once."""
