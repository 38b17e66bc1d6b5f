"""The real thing: `joblog serve` as a process, real sockets, a real disk, real signals.

Slow per test and few of them: what can be shown in one process, on virtual time, is shown there.
"""
