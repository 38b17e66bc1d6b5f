"""Tests of the kind `email`: what may be posted, the bytes it becomes, what answers mean, and the
transports, of which the one over SMTP is tested against a real server (`tests/support/smtp.py`).
"""
