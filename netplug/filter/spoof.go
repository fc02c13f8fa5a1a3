package filter

import (
	"fmt"
	"net"
	"strings"
)

// SpoofCheck drops frames that a pod sends with a MAC address other than its
// own: one lookup a frame, however many pods are checked.
type SpoofCheck struct {
	Owner     Owner
	Interface string  // the pod's host end, a port of the bridge
	MAC       [6]byte // the address the pod may use
}

// String is the nft commands that Apply equals.
func (s SpoofCheck) String() string {
	chain, comment := s.Owner.chain(), s.Owner.Comment()
	return strings.Join([]string{
		element(Bridge, setAllowed, s.allowed(), comment),
		element(Bridge, setChecked, s.Interface, comment),
		addChain(Bridge, chain),
		indexRule(Bridge, chain, setAllowed, s.allowed()),
		indexRule(Bridge, chain, setChecked, s.Interface),
	}, "\n")
}

// allowed is the key of the interface's one permitted sender.
func (s SpoofCheck) allowed() string {
	return fmt.Sprintf("%s . %s", s.Interface, net.HardwareAddr(s.MAC[:]))
}
