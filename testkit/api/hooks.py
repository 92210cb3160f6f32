"""What schemathesis cannot know: a plugin's module is sent and received as it is, and the stream of events does not end unless
it is asked to."""

import hypothesis
import schemathesis

# The search for requests with the highest figures, of which there are none that matter here, ends with an IndexError
# where a generated request gets shorter (seen with 6.170.15).
hypothesis.target = lambda *_args, **_kwargs: None


@schemathesis.serializer("application/wasm")
def to_body(_context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.deserializer("application/wasm")
def from_body(_context, response):
    return response.content.decode("latin-1")


@schemathesis.hook
def before_call(_context, case, _kwargs):
    if not case.path.endswith("/events"):
        return
    limit = (case.query or {}).get("limit", "0")
    if str(limit).isdigit():
        case.query = {**(case.query or {}), "limit": 1}
