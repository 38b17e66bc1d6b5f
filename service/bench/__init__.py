"""joblog measured by itself: `joblog bench`, so that every figure about speed can be checked where
it matters, on the reader's own machine.

A figure alone says as much about a machine as about joblog. So each row is measured beside a floor,
in the same run and on the same disk: the least that anybody would have to do for the same result
(a web endpoint that stores nothing, a bare loop of writes and syncs). The targets are ratios to it.

What is measured is the production path and no shortened one: `joblog serve` in a process of its
own, real files, real `fdatasync`, HTTP over the loopback from a load generator in another process.

| module | |
|---|---|
| `table` | the rows and their targets: the one place where they are said |
| `run`, `ground`, `plan` | which rows, in order; what they share; how much of everything |
| `requests`, `batch`, `drain`, `replay`, `delays`, `sizes`, `pending`, `lists`, `blocked` | rows |
| `floor`, `commits` | the floors: a server that stores nothing, a loop that only writes |
| `load`, `process`, `probed`, `noop`, `history`, `written` | load, servers, jobs, logs |
| `machine`, `report`, `measured`, `quantile` | what it ran on, and how all of it is told |

Not here: tests. Nothing in this package fails because a machine is slow.
"""
