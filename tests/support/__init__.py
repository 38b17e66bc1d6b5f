"""Tools that tests share: simulated disks and loops, and the checkers built on them.

The tools are tested themselves, beside where they are. Nothing in the product may import from here.
"""
