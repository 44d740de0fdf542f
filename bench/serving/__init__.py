"""The five services as processes of their own, with partners inside them that answer at once and always well.

Everything else is as in production: the services' handlers, migrations and settings, served by the chassis.
A module imports one service only, so that each process' memory is its own.
"""
