"""The HTTP API, call by call: every row of its table, with good input and with bad.

Requests go through the whole application in process, on virtual time; `tests/support/service.py`
has the service they speak to. Real sockets are `tests/e2e`'s matter.
"""
