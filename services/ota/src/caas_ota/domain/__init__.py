"""The rules of activations: pure values and verbs, no input or output.

Invariants: a result is published once (OTA-3); nothing counts as success but a verified
acknowledgement (SVC-6); a vehicle has at most one command under way (OTA-6).
"""
