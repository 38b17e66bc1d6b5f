"""Tests of the built-in kind `webhook`: what is posted, where it may go, what an answer means, and
deliveries to real receivers. A file for each module, with its name.
"""
