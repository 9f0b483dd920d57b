"""The etcd v3 front door: HTTP/2 (`http2`) and gRPC (`grpc`) without I/O, and what stands on them."""
