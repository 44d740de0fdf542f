"""The parts of the statements that rate and close periods: `closing` writes with them, `preview` only reads."""
