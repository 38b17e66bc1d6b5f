"""Tests of the event store: its contract, its engines, and what they survive.

A package so that test modules can share names with those of other rooms. There is no code here.
"""
