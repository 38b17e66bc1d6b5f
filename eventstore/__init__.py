"""What happened? An append-only log of events that knows nothing about what they mean.

Read in this order: `event` (what a line holds), `store` (the protocol and its contract), `memory`
(the contract in its shortest form), `log` (what callers use: group commit, subscriptions), `file/`
(JSON lines on disk, the default).

This package imports nothing of the others and could be published alone.
"""
