"""The platform on one machine: starting, stopping, and demonstrating it. Owns no business rule."""
