package filter

import "net"

// SpoofCheck drops frames that a pod sends with a MAC address other than its
// own: one lookup a frame, however many pods are checked.
type SpoofCheck struct {
	Owner     Owner
	Interface string  // the pod's host end, a port of the bridge
	MAC       [6]byte // the address the pod may use
}

// String is the nft commands that Apply equals.
func (s SpoofCheck) String() string { return ownedScript(s.Owner, s.elements()) }

// The permitted sender comes first: an interface that is checked and has none
// could send nothing.
func (s SpoofCheck) elements() []element {
	mac := net.HardwareAddr(s.MAC[:])
	return []element{
		{family: Bridge, set: setAllowed, key: concat(s.Interface, mac), comment: s.Owner.Comment()},
		{family: Bridge, set: setChecked, key: s.Interface, comment: s.Owner.Comment()},
	}
}
