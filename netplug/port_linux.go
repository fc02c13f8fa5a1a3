package netplug

import "fmt"

// Apply sets the port's flags that are on; a new port has them off.
func (s Port) Apply(k *kernel) error {
	link, err := k.hostLink(s.Host)
	if err != nil {
		return err
	}
	if s.Hairpin {
		if err := k.host.LinkSetHairpin(link, true); err != nil {
			return fmt.Errorf("set hairpin mode on port %s: %w", s.Host, err)
		}
	}
	if s.Isolated {
		if err := k.host.LinkSetIsolated(link, true); err != nil {
			return fmt.Errorf("isolate port %s: %w", s.Host, err)
		}
	}
	return nil
}

// Check compares the flags.
func (s Port) Check(k *kernel) error {
	link, err := k.hostLink(s.Host)
	if err != nil {
		return err
	}
	port, err := k.host.LinkGetProtinfo(link)
	if err != nil {
		return fmt.Errorf("read the bridge port flags of %s: %w", s.Host, err)
	}
	if port.Hairpin != s.Hairpin {
		return fmt.Errorf("port %s has hairpin mode %s, expected %s", s.Host, onOff(port.Hairpin), onOff(s.Hairpin))
	}
	if port.Isolated != s.Isolated {
		return fmt.Errorf("port %s has isolation %s, expected %s", s.Host, onOff(port.Isolated), onOff(s.Isolated))
	}
	return nil
}
