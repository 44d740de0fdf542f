"""What can go wrong with a server that this machine runs for us."""


class EmbeddedServerError(RuntimeError):
    """A server could not be provided, started or stopped; the message names the log to read."""
