"""Orders: vehicles, catalogue, purchases of one-time services, notifications and the purchase file."""
