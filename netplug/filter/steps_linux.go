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
// Connections that go elsewhere until now are forgotten after the commit.
func (h HostPort) Apply(c *Conn) error {
	if err := h.Validate(); err != nil {
		return h.failed(err)
	}
	reads, err := ownedQueries(h.Owner, h.elements())
	if err != nil {
		return h.failed(err)
	}
	c.queue = append(c.queue, change{reads, func(b *batch) error {
		how, err := b.own(h.Owner, h.elements())
		if err != nil {
			return h.failed(err)
		}
		// A TCP connection from before the mapping goes to the host itself, and is
		// somebody's session; a UDP client does not notice that it should start anew.
		if how == took || how == found && h.Protocol == UDP {
			b.flows = append(b.flows, flow{HostPort: h})
		}
		return nil
	}})
	return nil
}

// Check says what is missing of the mapping, or who has it instead.
func (h HostPort) Check(c *Conn) error {
	if err := h.Validate(); err != nil {
		return h.failed(err)
	}
	return h.failed(newBatch(c).verifyOwned(h.Owner, h.elements()))
}

// failed names the mapping that an error is about.
func (h HostPort) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("host port %s/%d: %w", h.Protocol, h.HostPort, err)
}

// Apply queues the check of what the interface sends.
func (s SpoofCheck) Apply(c *Conn) error {
	reads, err := ownedQueries(s.Owner, s.elements())
	if err != nil {
		return s.failed(err)
	}
	c.queue = append(c.queue, change{reads, func(b *batch) error {
		_, err := b.own(s.Owner, s.elements())
		return s.failed(err)
	}})
	return nil
}

// Check says what is missing of it.
func (s SpoofCheck) Check(c *Conn) error {
	return s.failed(newBatch(c).verifyOwned(s.Owner, s.elements()))
}

// failed names the interface that an error is about.
func (s SpoofCheck) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("spoof check of %s: %w", s.Interface, err)
}

// ownedQueries ask for an attachment's elements and for their index.
func ownedQueries(o Owner, elements []element) ([]query, error) {
	all, err := queries(elements)
	return append(all, chainQuery(elements[0].family, Table, o.chain())), err
}

// applyShared queues elements of a network. They are made only once they are
// known to be valid.
func (c *Conn) applyShared(what string, invalid error, elements func() []element) error {
	if invalid != nil {
		return fmt.Errorf("%s: %w", what, invalid)
	}
	reads, err := queries(elements())
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	c.queue = append(c.queue, change{reads, func(b *batch) error {
		if err := b.share(elements()); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}})
	return nil
}

func (c *Conn) checkShared(what string, invalid error, elements func() []element) error {
	if invalid != nil {
		return fmt.Errorf("%s: %w", what, invalid)
	}
	if err := newBatch(c).verify(elements()); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
