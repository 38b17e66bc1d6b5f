"""joblog's version, in the one place that the package's metadata is made from. Each log line of a
start carries it.
"""

VERSION = "0.1.0"
