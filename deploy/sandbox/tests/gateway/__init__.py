"""Tests of the sandbox payment gateway: the real process, spoken to over HTTP."""
