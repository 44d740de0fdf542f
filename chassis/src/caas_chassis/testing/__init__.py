"""What the tests of every service share: real servers, and a fresh database for each test.

Never imported by running services; pytest finds the fixtures through the entry point of `plugin`.
"""
