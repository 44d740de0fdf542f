"""What partners do for the merchant that takes days: they are asked once, act by themselves, and tell of it."""
