"""etcd's API as JSON over HTTP/1.1: the same services, with messages in proto3's JSON form."""
