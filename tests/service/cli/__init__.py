"""Tests of the command line: each command, for people and in pipes, with its exit codes.

Most run in this process by click's runner, on logs that a real store wrote; the few that need a
server or a process of their own are marked `real_time`.
"""
