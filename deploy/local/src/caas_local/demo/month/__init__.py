"""Post-paid months: subscribing, using, billing, and everything that can happen to a bill."""
