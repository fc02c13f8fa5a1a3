//go:build !linux

package conformance

// Elsewhere there is nothing to test in; newHost says so before any of the
// others is called.

func newHost(string) (host, error) { return nil, ErrPlatform }

type packetFilter struct {
	objects    int
	masquerade bool
}

func links() ([]link, error)            { return nil, ErrPlatform }
func addresses() ([]address, error)     { return nil, ErrPlatform }
func routes() ([]route, error)          { return nil, ErrPlatform }
func readFilter() (packetFilter, error) { return packetFilter{}, ErrPlatform }
func flushFilter() error                { return ErrPlatform }
func setLinkUp(string) error            { return ErrPlatform }
func setLinkDown(string) error          { return ErrPlatform }
func deleteLink(string) error           { return ErrPlatform }
func deleteAddress(address) error       { return ErrPlatform }
func addRoute(route) error              { return ErrPlatform }
func deleteRoute(route) error           { return ErrPlatform }
