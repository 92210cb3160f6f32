"""What schemathesis cannot know of our media types: a plugin's module is sent and received as it is."""

import schemathesis


@schemathesis.serializer("application/wasm")
def to_body(_context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.deserializer("application/wasm")
def from_body(_context, response):
    return response.content.decode("latin-1")
