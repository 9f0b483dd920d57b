//go:build tools

// Package tools names the judge of HTTP/2 servers, so that its version is pinned by this module.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
