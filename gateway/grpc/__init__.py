"""The server's side of gRPC on HTTP/2 without I/O: bytes in, calls and messages out, bytes to send.

`connection.GrpcConnection` is the face; `calls` has what it tells.
"""
