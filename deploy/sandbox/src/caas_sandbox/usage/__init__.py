"""Cars that report their use: replays a fixed month to the broker, and keeps its own exact sum of what is owed.

What a subscription costs is told to it as data; how that makes a bill is worked out here anew, in whole numbers.
"""
