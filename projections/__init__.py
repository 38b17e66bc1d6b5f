"""So what is the case now? Folds over the log: what a job is, which are open, and all of them in a
table.

`events` is the vocabulary, `job` the state machine, `board` the open jobs in memory (in the orders
of `ordered`), `table` all jobs in SQLite (written by `rows`, read by `listing`, searched with the
help of `search` and `words`), `projector` what feeds them from a log. Everything here can be thrown
away and computed again; nothing here decides, and nothing writes to the log.
"""
