"""What the clients have in common: a request on each line of standard input, what became of it on
each line of standard output. The client alone decides how the request looks on the wire."""

import json
import sys


def serve(ask):
    """`ask` returns the count, or raises what its client raises."""
    for line in sys.stdin:
        try:
            answer = {"count": ask(**json.loads(line))}
        except Exception as error:  # which one is what the experiment wants to know
            answer = {"error": type(error).__name__, "says": str(error), "body": body_of(error)}
        print(json.dumps(answer), flush=True)


def body_of(error):
    """The body that the exception carries, should its own words leave it out."""
    return getattr(getattr(error, "response", None), "text", None)


def only(**headers):
    """The headers that were asked for; the others are the client's own affair."""
    return {name.replace("_", "-").title(): value for name, value in headers.items() if value is not None}
