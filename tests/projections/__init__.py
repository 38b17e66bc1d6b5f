"""Tests of the read side: folds over the log, and what keeps them up to date.

Folds are pure, so they are tested with events made by hand and no store; the projector is tested
over the store in memory, on virtual time.
"""
