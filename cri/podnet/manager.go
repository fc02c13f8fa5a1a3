package podnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containernetworking/cni/libcni"

	"github.com/mascri/mascri/spec"
)

// Config says where a Manager finds and keeps things.
type Config struct {
	ConfDir  string   // network configurations, such as /etc/cni/net.d
	BinDirs  []string // plugins, such as /opt/cni/bin; the first that has one wins
	RunDir   string   // pinned namespaces; may vanish with a reboot
	StateDir string   // what has to survive a reboot

	// Template is a text/template of a configuration list, see DefaultConflist,
	// for when ConfDir has no configuration; "" means there is none then.
	Template string

	// OwnNetworks are names of networks that nothing else on this host uses.
	// Only for those may GC free what it does not know.
	OwnNetworks []string

	ExecTimeout time.Duration // for one run of a plugin; 0 is a minute
	Log         *slog.Logger  // nil discards

	// OnPlugin, if set, is told each run of a plugin that has ended: the verb
	// (CNI_COMMAND), the plugin's type, how long it took, and its error. It must
	// not block.
	OnPlugin func(verb, plugin string, took time.Duration, err error)
}

// Manager sets pods up on networks and tears them down. It is safe for
// concurrent use, and keeps nothing in memory that it could not read again.
type Manager struct {
	config Config
	cni    *libcni.CNIConfig
	locks  *locks
	log    *slog.Logger
	status statusCache

	mu       sync.Mutex
	podCIDRs []netip.Prefix
	results  map[string]Result // by container ID, of all pods that are attached
	reported string            // the broken files last logged
}

// New prepares the directories and reads back the pod CIDRs and the results of
// the last run.
// It needs no network configuration: there may be one later.
func New(config Config) (*Manager, error) {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.ExecTimeout == 0 {
		config.ExecTimeout = time.Minute
	}
	for _, dir := range []string{config.StateDir, filepath.Join(config.RunDir, netnsDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("prepare the CNI manager: %w", err)
		}
	}
	podCIDRs, err := loadPodCIDRs(config.StateDir)
	if err != nil {
		return nil, err
	}
	executor := &executor{timeout: config.ExecTimeout, log: config.Log, observe: config.OnPlugin}
	m := &Manager{
		config:   config,
		cni:      libcni.NewCNIConfigWithCacheDir(config.BinDirs, filepath.Join(config.StateDir, "cni"), executor),
		locks:    newLocks(),
		log:      config.Log,
		podCIDRs: podCIDRs,
		results:  map[string]Result{},
	}
	return m, m.readResults()
}

// Network returns the network that a pod created now would be put on: that of
// the first valid file in the configuration directory, else the built-in one.
func (m *Manager) Network() (Network, error) {
	network, broken, err := Choose(m.config.ConfDir, m.config.Template, m.templateData())
	m.report(broken)
	return network, err
}

// report logs the files that were skipped, once for each change of the set.
func (m *Manager) report(broken []BrokenFile) {
	text := ""
	if len(broken) > 0 {
		text = joinBroken(broken).Error()
	}
	m.mu.Lock()
	changed := text != m.reported
	m.reported = text
	m.mu.Unlock()
	for _, b := range broken {
		if changed {
			m.log.Warn("skipped a broken CNI configuration", "file", b.Path, "error", b.Err)
		}
	}
}

// Prepare decides what the pod's ADD will run with. The caller keeps the answer
// for as long as the pod exists, from before SetUpPod on.
func (m *Manager) Prepare(_ context.Context, pod Pod) (Attachment, error) {
	network, err := m.Network()
	if err != nil {
		return Attachment{}, err
	}
	if err := m.findPlugins(network); err != nil {
		return Attachment{}, err
	}
	return Attach(network, pod, m.PodCIDRs())
}

// SetUpPod pins the network namespace at netns under the container's ID and
// adds the network to it. Also after an error TearDownPod has to follow: section
// 3 of the specification wants a DEL for every ADD, and an ADD that was killed
// has cleaned up nothing.
func (m *Manager) SetUpPod(ctx context.Context, id, netns string, a Attachment) (Result, error) {
	network, err := a.network()
	if err != nil {
		return Result{}, err
	}
	unlock, err := m.locks.lockPod(ctx, id)
	if err != nil {
		return Result{}, fmt.Errorf("set up pod %s: %w", id, err)
	}
	defer unlock()
	// Loopback needs nothing: it is up in a namespace that Docker made.
	pinned, err := m.pin(ctx, id, netns)
	if err != nil {
		return Result{}, err
	}
	answer, err := m.cni.AddNetworkList(ctx, network.list, a.runtimeConf(id, pinned))
	if err != nil {
		return Result{}, fmt.Errorf("add pod %s to network %s (%s): %w", id, network.Name, network.Source, err)
	}
	result, err := resultFrom(network.Name, answer)
	if err != nil {
		return Result{}, err
	}
	m.keep(id, result)
	return result, nil
}

// TearDownPod takes the pod off its networks and unpins its namespace. It runs
// DEL with what ADD ran with: libcni's record of a finished ADD, else the
// attachment, which may be nil when the caller lost it. Neither the namespace
// nor the container nor any file in the configuration directory has to exist,
// and there may be nothing to do.
func (m *Manager) TearDownPod(ctx context.Context, id string, a *Attachment) error {
	// To libcni an empty ID means every container.
	if err := spec.CheckName(id); err != nil {
		return fmt.Errorf("tear down pod: container ID %w", err)
	}
	unlock, err := m.locks.lockPod(ctx, id)
	if err != nil {
		return fmt.Errorf("tear down pod %s: %w", id, err)
	}
	defer unlock()
	return m.tearDown(ctx, id, a)
}

// tearDown is TearDownPod under the pod's lock. The namespace stays pinned when
// a DEL fails, since the next attempt may need it.
func (m *Manager) tearDown(ctx context.Context, id string, a *Attachment) error {
	if a == nil {
		var err error
		if a, err = m.owedAttachment(id); err != nil {
			return err
		}
	}
	netns := m.pinned(id)
	added, err := m.cni.GetCachedAttachments(id)
	if err != nil {
		return fmt.Errorf("look up what pod %s is attached to: %w", id, err)
	}
	networks := map[string]bool{}
	for _, record := range added {
		err := m.delRecord(ctx, record, netns)
		if errors.Is(err, errUnreadable) && a != nil && a.isCNI() {
			continue // what ADD ran with is known all the same
		}
		if err != nil {
			return err
		}
		networks[record.Network] = true
	}
	if a != nil && a.isCNI() {
		network, err := a.network()
		if err != nil {
			return err
		}
		if !networks[network.Name] {
			if err := m.del(ctx, network, a.runtimeConf(id, netns)); err != nil {
				return err
			}
		}
	}
	m.forget(id)
	if err := m.unpin(ctx, id); err != nil {
		return err
	}
	return m.settled(id)
}

// errUnreadable: a record of libcni's is damaged.
var errUnreadable = errors.New("unreadable record")

// delRecord runs DEL with libcni's record of an ADD.
func (m *Manager) delRecord(ctx context.Context, record *libcni.NetworkAttachment, netns string) error {
	network, err := parseNetwork(record.Config, "record of the ADD", "")
	if err != nil {
		return fmt.Errorf("%w of pod %s on network %s: %w", errUnreadable, record.ContainerID, record.Network, err)
	}
	return m.del(ctx, network, &libcni.RuntimeConf{
		ContainerID:    record.ContainerID,
		NetNS:          netns,
		IfName:         record.IfName,
		Args:           record.CniArgs,
		CapabilityArgs: record.CapabilityArgs,
	})
}

func (m *Manager) del(ctx context.Context, network Network, rt *libcni.RuntimeConf) error {
	if err := m.cni.DelNetworkList(ctx, network.list, rt); err != nil {
		return fmt.Errorf("delete pod %s from network %s (%s): %w", rt.ContainerID, network.Name, network.Source, err)
	}
	return nil
}

// Check runs CHECK for a pod that was set up: is its network as ADD left it?
func (m *Manager) Check(ctx context.Context, id string, a Attachment) error {
	network, err := a.network()
	if err != nil {
		return err
	}
	unlock, err := m.locks.lockPod(ctx, id)
	if err != nil {
		return fmt.Errorf("check pod %s: %w", id, err)
	}
	defer unlock()
	if err := m.cni.CheckNetworkList(ctx, network.list, a.runtimeConf(id, m.pinned(id))); err != nil {
		return fmt.Errorf("check pod %s on network %s: %w", id, network.Name, err)
	}
	return nil
}

// Restore pins the namespace of a pod that is set up again, should the pin be
// gone: one made in a container's mount namespace ends with that container.
func (m *Manager) Restore(ctx context.Context, id, netns string) error {
	unlock, err := m.locks.lockPod(ctx, id)
	if err != nil {
		return fmt.Errorf("restore pod %s: %w", id, err)
	}
	defer unlock()
	if m.pinned(id) != "" {
		return nil
	}
	_, err = m.pin(ctx, id, netns)
	return err
}

// Close takes back the mount that holds the pins, unless pods still need it.
func (m *Manager) Close() error {
	return unshareDir(filepath.Join(m.config.RunDir, netnsDir))
}
