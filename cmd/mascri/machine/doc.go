// Package machine puts on a Linux machine what MasCRI needs there, and takes it
// back: packages of the distribution (packages.go), a Docker engine that answers
// (engine.go), and our own files (tree.go), of which files.go says which go where.
//
// It is what make demo, make test and make install stand on. The daemon and the
// plugins never come here: a running node is prepared by its operator.
package machine
