"""Tests of what users test with: the kit is a promise of the product, so each sentence of its
manual is tried here, and the manual's example is run as a user would run it.

They are plain functions, as users' tests are: the kit brings its own loop and its own frozen clock.
"""
