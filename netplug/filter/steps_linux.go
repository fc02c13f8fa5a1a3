package filter

import "fmt"

// Apply queues the network's masquerading.
func (m Masquerade) Apply(c *Conn) error {
	return c.applyShared("masquerade", m.Validate(), m.elements)
}

// Check says what is missing of the network's masquerading.
func (m Masquerade) Check(c *Conn) error {
	return c.checkShared("masquerade", m.Validate(), m.elements)
}

// Apply queues the network's way back from its own host ports.
func (h Hairpin) Apply(c *Conn) error { return c.applyShared("hairpin", h.Validate(), h.elements) }

// Check says what is missing of the way back.
func (h Hairpin) Check(c *Conn) error { return c.checkShared("hairpin", h.Validate(), h.elements) }

// Apply queues the masquerading of every client.
func (m MasqueradeAll) Apply(c *Conn) error {
	return c.applyShared("masquerade of host ports", m.Validate(), m.elements)
}

// Check says what is missing of it.
func (m MasqueradeAll) Check(c *Conn) error {
	return c.checkShared("masquerade of host ports", m.Validate(), m.elements)
}

// Apply queues the mapping, in place of one that another attachment left.
// Connections that went elsewhere until now are forgotten after the commit.
func (h HostPort) Apply(c *Conn) error {
	if err := h.Validate(); err != nil {
		return fmt.Errorf("host port %s/%d: %w", h.Protocol, h.HostPort, err)
	}
	c.queue = append(c.queue, func(b *batch) error {
		changed, err := b.own(h.Owner, h.elements())
		if err != nil {
			return fmt.Errorf("host port %s/%d: %w", h.Protocol, h.HostPort, err)
		}
		if changed {
			b.flows = append(b.flows, flow{HostPort: h})
		}
		return nil
	})
	return nil
}

// Check says what is missing of the mapping, or who has it instead.
func (h HostPort) Check(c *Conn) error {
	err := h.Validate()
	if err == nil {
		err = c.verifyOwned(h.Owner, h.elements())
	}
	if err != nil {
		return fmt.Errorf("host port %s/%d: %w", h.Protocol, h.HostPort, err)
	}
	return nil
}

// Apply queues the check of what the interface sends.
func (s SpoofCheck) Apply(c *Conn) error {
	c.queue = append(c.queue, func(b *batch) error {
		if _, err := b.own(s.Owner, s.elements()); err != nil {
			return fmt.Errorf("spoof check of %s: %w", s.Interface, err)
		}
		return nil
	})
	return nil
}

// Check says what is missing of it.
func (s SpoofCheck) Check(c *Conn) error {
	if err := c.verifyOwned(s.Owner, s.elements()); err != nil {
		return fmt.Errorf("spoof check of %s: %w", s.Interface, err)
	}
	return nil
}

// applyShared queues elements of a network. They are made only once they are
// known to be valid.
func (c *Conn) applyShared(what string, invalid error, elements func() []element) error {
	if invalid != nil {
		return fmt.Errorf("%s: %w", what, invalid)
	}
	c.queue = append(c.queue, func(b *batch) error {
		if err := b.share(elements()); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
	return nil
}

func (c *Conn) checkShared(what string, invalid error, elements func() []element) error {
	if invalid != nil {
		return fmt.Errorf("%s: %w", what, invalid)
	}
	if err := c.verify(elements()); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
