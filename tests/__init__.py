"""The tests, in folders by what they test; `support` holds the tools they share.

A package so that tests can import those tools by name. There is no code here.
"""
