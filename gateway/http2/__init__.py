"""The server's side of HTTP/2 (RFC 9113) without I/O: bytes in, events out, bytes to send.

`connection.Connection` is the face; `events` is what it tells; `limits` is what it allows.
"""
