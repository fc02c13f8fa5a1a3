// Package netnstest makes network namespaces for tests, which need
// CAP_SYS_ADMIN for it: root, or `unshare -Urnm`. Nothing but tests imports it.
package netnstest
