"""Vehicles over MQTT: a broker, thousands of simulated vehicles and their own durable books.

A vehicle applies an activation at most once, never after its `not_after` and never after a cancel,
whatever is repeated, delayed or lost on the way.
"""
