// Package dryrun is a node on which nothing happens: an engine and a network
// for package cri that keep in memory what they were asked for, and report each
// step that the real ones would take. It needs no Docker, no root and no Linux.
//
// Read engine.go, then network.go; the steps themselves are those of package
// spec, printed by whoever started the server.
package dryrun
