"""The tables of the toy that the consuming measure applies messages to, and of its bare counterpart."""
