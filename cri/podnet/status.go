package podnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/mascri/mascri/spec"
)

const (
	// statusFresh is how long an answer of STATUS holds. The kubelet asks each
	// 5 to 10 s, and every answer costs one process a plugin.
	statusFresh = 5 * time.Second
	// statusPatience is how long a caller waits for a new answer before it has
	// to take the last one.
	statusPatience = 2 * time.Second
	// statusTimeout bounds the question itself.
	statusTimeout = 20 * time.Second
)

// ErrNoPlugin says that a plugin which the network needs is not installed.
var ErrNoPlugin = errors.New("missing CNI plugin")

// Report is what there is to say about the network a pod would be put on.
type Report struct {
	Network  string   `json:"network,omitempty"`
	Source   string   `json:"source,omitempty"` // the configuration's file
	Plugins  []string `json:"plugins,omitempty"`
	Broken   []string `json:"broken,omitempty"` // files that were skipped, and why
	PodCIDRs []string `json:"podCIDRs,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// statusCache holds STATUS's last answer, for one configuration.
type statusCache struct {
	mu      sync.Mutex
	of      string // the configuration list that was asked about
	asked   time.Time
	err     error
	running chan struct{} // closed when the question under way is answered
}

// Status tells whether a pod could be set up now: nil, or the reason and what
// to do about it. CNI STATUS is asked at most every few seconds, in the
// background when it is slow.
func (m *Manager) Status(ctx context.Context) error {
	network, err := m.Network()
	if err != nil {
		return err
	}
	if err := m.findPlugins(network); err != nil {
		return err
	}
	return m.ask(ctx, network)
}

// findPlugins looks for the network's plugins and for those that they delegate
// addresses to, as an ADD would. Without one of them DEL could not run either,
// so it is better known before anything was made.
func (m *Manager) findPlugins(network Network) error {
	var errs []error
	for _, plugin := range network.list.Plugins {
		for _, name := range []string{plugin.Network.Type, plugin.Network.IPAM.Type} {
			if name == "" {
				continue
			}
			if _, err := invoke.FindInPath(name, m.config.BinDirs); err != nil {
				errs = append(errs, fmt.Errorf("network %s (%s): plugin %s is not in %v: install it there", network.Name, network.Source, name, m.config.BinDirs))
			}
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrNoPlugin, errors.Join(errs...))
	}
	return nil
}

// ask gives the cached answer, or a new one if it comes soon enough.
func (m *Manager) ask(ctx context.Context, network Network) error {
	c := &m.status
	c.mu.Lock()
	if c.of != string(network.Conflist) {
		c.of, c.asked, c.err = string(network.Conflist), time.Time{}, nil
	}
	if time.Since(c.asked) < statusFresh {
		defer c.mu.Unlock()
		return c.err
	}
	if c.running == nil {
		c.running = make(chan struct{})
		// The question outlives this caller: the next one will want the answer.
		go m.answer(context.WithoutCancel(ctx), network, c.running)
	}
	running, first := c.running, c.asked.IsZero()
	c.mu.Unlock()

	patience := time.NewTimer(statusPatience)
	defer patience.Stop()
	select {
	case <-running:
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		if first {
			return fmt.Errorf("network %s (%s): its plugins %v have not answered STATUS within %s", network.Name, network.Source, network.Plugins(), statusPatience)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// answer runs STATUS and stores what it says, unless the configuration changed
// meanwhile.
func (m *Manager) answer(ctx context.Context, network Network, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	err := m.cni.GetStatusNetworkList(ctx, network.list)
	if err != nil {
		err = fmt.Errorf("network %s (%s): %w", network.Name, network.Source, explainStatus(err))
	}
	c := &m.status
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == string(network.Conflist) {
		c.asked, c.err = time.Now(), err
	}
	c.running = nil
	close(done)
}

// explainStatus puts the specification's two codes of STATUS into words.
func explainStatus(err error) error {
	var object *types.Error
	if !errors.As(err, &object) {
		return err
	}
	switch spec.Code(object.Code) {
	case spec.NotAvailable:
		return fmt.Errorf("the plugin cannot serve a new pod: %w", err)
	case spec.LimitedConnectivity:
		return fmt.Errorf("the plugin cannot serve a new pod, and running ones may be cut off: %w", err)
	}
	return err
}

// Describe reports on the network for a person.
func (m *Manager) Describe(ctx context.Context) Report {
	var r Report
	for _, cidr := range m.PodCIDRs() {
		r.PodCIDRs = append(r.PodCIDRs, cidr.String())
	}
	_, broken, err := readConfDir(m.config.ConfDir)
	for _, b := range broken {
		r.Broken = append(r.Broken, b.Error())
	}
	if network, networkErr := m.Network(); networkErr == nil {
		r.Network, r.Source, r.Plugins = network.Name, network.Source, slices.Clone(network.Plugins())
		err = m.Status(ctx)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}
