"""So what is the case now? Folds over the log: what a job is, which are open, and all of them in a
table.

`events` is the vocabulary, `job` the state machine, `board` the open jobs in memory, `table` all
jobs in SQLite, `projector` what feeds them from a log. Everything here can be thrown away and
computed again; nothing here decides, and nothing writes to the log.
"""
