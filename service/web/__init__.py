"""The HTTP API: requests in, answers out. It decides nothing and keeps nothing.

`app` puts it together. A resource is a file and a class that declares its calls (`operation`):
`jobs` is the collection, `job` one of them, `health` what a supervisor asks. What they share is one
noun a file: `body` and `query` read a request strictly, `headers` its fields, `validation` says
what is wrong with it, `document` is the job as returned, `problems` every error as an answer,
`gate` what holds for all routes.

What is declared is also described. `openapi` writes the document: `per_kind` has a call once for
each kind, `schemas` the types, `fields` every header, `samples` the examples, `curl` the commands.
`pages` makes it readable (`outline` a schema, `templates/` the prose), and `contract` serves both.

Another resource (batch, events, claims) is another file here, and a line in `app`.
"""
