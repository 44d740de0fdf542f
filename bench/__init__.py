"""Measures the product against what the same machine can do at most, in the same run (`make bench`)."""
