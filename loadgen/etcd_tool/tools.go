//go:build tools

// Package tools says that this module is there for etcd's own load generator, "benchmark", and pins its version.
package tools

import _ "go.etcd.io/etcd/v3/tools/benchmark"
