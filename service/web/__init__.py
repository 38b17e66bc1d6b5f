"""The HTTP API: requests in, answers out. It decides nothing and keeps nothing.

`app` puts it together. A resource is a file and a class that names its routes: `jobs` is the
collection, `job` one of them, `health` what a supervisor asks. What they share is one noun a file:
`body` and `query` read a request strictly, `headers` its fields, `validation` says what is wrong
with it, `document` is the job as returned, `problems` every error as an answer, `middleware` what
holds for all routes.

Another resource (batch, events, claims) is another file here, and a line in `app`.
"""
