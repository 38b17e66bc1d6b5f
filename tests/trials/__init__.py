"""The trials: every level at which joblog is asked whether it can lose a job, and two ways to run
them all.

A *level* (`levels.py`) tries one sort of trouble. It is made of *rounds*: each follows from a seed
alone, breaks as many things as it can, checks every promise, and returns its figures: how many
images of a disk, kills, hours it went through. So a failure is told by its level and its seed, and
both forms do the same work and differ in how much of it:

    .venv/bin/pytest -n 2                                   the short form, a part of the tests
    .venv/bin/python -m tests.trials --minutes 60 --record  the long form: as long as you have time

The long form writes what it went through to `figures.json`, with the commit that it tried; README's
table is made from that file.

A level counts because it has caught bugs that were planted for it: that is what the tests beside
each level show. A trial proves nothing beyond its own kinds of trouble; each level says which.
"""
