"""The embedded default: a log of JSON lines in files, with one writer.

`segment` is the format in words, `recovery` what an open does before it trusts a byte, `writer` one
commit, `reader` reading without writing, `index` the way from a stream to its lines, `store` all of
it behind the EventStore protocol, and `disk` the only door to the operating system. Not for network
file systems, nor for two writers.
"""
