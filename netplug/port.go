package netplug

import "fmt"

// Port is how the bridge treats the pod's port.
type Port struct {
	Host     string // the port: the host's end of the veth pair
	Hairpin  bool   // frames may leave by the port they came in
	Isolated bool   // no frames to or from other isolated ports
}

func (s Port) String() string {
	return fmt.Sprintf("bridge link set dev %s hairpin %s isolated %s", s.Host, onOff(s.Hairpin), onOff(s.Isolated))
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
