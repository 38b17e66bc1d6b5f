"""Tests of the service: what is decided, how jobs are run, how both are told to the world.

What needs a store uses the one in memory, and time is virtual unless a test is marked otherwise;
whole processes with sockets are tested in `tests/e2e`.
"""
