"""The bench: its arithmetic on made-up figures, and its parts against tiny servers.

No test looks at how fast anything was. Each row is measured once, in small, by the command's tests.
"""
