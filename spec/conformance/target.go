package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Target is what is tested.
type Target struct {
	// BinDir holds the plugin binaries: the one under test, those before it
	// in a list, and the IPAM plugin it delegates to.
	BinDir string
	// Conf is the path of a network configuration: a .conf with one plugin or
	// a .conflist. Its cniVersion is the version everything runs with; GC and
	// STATUS exist since 1.1.0.
	Conf string
	// Plugin restricts the run to the plugins of this type; empty means every
	// plugin of the configuration, and every IPAM plugin one of them names.
	Plugin string
	// Kind says what Plugin is where its place in the configuration does not.
	Kind Kind
	// CapabilityArgs go into runtimeConfig of the plugins that declare the
	// capability, as a runtime would pass them. Where portMappings is declared
	// and not given here, each attachment gets one mapping of a port of its own.
	CapabilityArgs map[string]any
	// Unsupported are fields that a plugin is known not to support, by its type:
	// keys of its configuration, or of the ipam section of an IPAM plugin's, each
	// with a value. Which they are cannot be seen from outside.
	Unsupported map[string]map[string]any
	// Only restricts the run to rows matching these patterns, see [Select].
	Only string
	// Timeout bounds each execution of a plugin; zero means 20 seconds.
	Timeout time.Duration
	// Require is the weakest level whose violation makes [Test] fail and
	// counts in [Report.Violations]; empty means Must.
	Require Level
}

const defaultTimeout = 20 * time.Second

// stage is one plugin of the network with its configuration, as a runtime
// derives it (section 3), without what belongs to an attachment.
type stage struct {
	binary       string
	config       map[string]any
	capabilities []string
}

// unit is one plugin under test.
type unit struct {
	stage
	Type   string
	Kind   Kind
	before []stage // the plugins ahead of it in the list
	ipam   string  // the plugin it delegates addresses to; "" where it does not
}

// network is a .conf or .conflist.
type network struct {
	CNIVersion string            `json:"cniVersion"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Plugins    []json.RawMessage `json:"plugins"`
}

// units reads the configuration and returns the plugins under test, in order.
func (t Target) units() ([]unit, error) {
	stages, err := t.stages()
	if err != nil {
		return nil, err
	}
	var all []unit
	for i, s := range stages {
		u := unit{stage: s, Type: filepath.Base(s.binary), before: stages[:i], ipam: ipamType(s.config)}
		u.Kind = kindOf(u.Type, i)
		all = append(all, u)
		if u.ipam != "" {
			delegate := s
			delegate.binary = filepath.Join(t.BinDir, u.ipam)
			all = append(all, unit{stage: delegate, Type: u.ipam, Kind: IPAM})
		}
	}
	return t.choose(all)
}

// kindOf follows from the place: what comes later in a list is chained.
func kindOf(pluginType string, place int) Kind {
	switch {
	case place > 0:
		return Chained
	case strings.Contains(pluginType, "loopback"):
		return Loopback
	}
	return Interface
}

// choose applies Plugin and Kind and looks whether the binaries are there.
func (t Target) choose(all []unit) ([]unit, error) {
	if t.Plugin != "" {
		all = slices.DeleteFunc(all, func(u unit) bool { return u.Type != t.Plugin })
		if len(all) == 0 {
			return nil, fmt.Errorf("no plugin in %s is of type %q", t.Conf, t.Plugin)
		}
	}
	if t.Kind != "" {
		if !slices.Contains(Kinds, t.Kind) {
			return nil, fmt.Errorf("kind %q is not one of %v", t.Kind, Kinds)
		}
		if len(all) != 1 {
			return nil, fmt.Errorf("kind %q is given, and %s has %d plugins to test: choose one of them by its type", t.Kind, t.Conf, len(all))
		}
		all[0].Kind = t.Kind
	}
	for _, u := range all {
		for _, s := range slices.Concat(u.before, []stage{u.stage}) {
			if err := executable(s.binary); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func executable(binary string) error {
	info, err := os.Stat(binary)
	if err != nil {
		return fmt.Errorf("plugin %s is not in the plugin directory: %w", filepath.Base(binary), err)
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("plugin %s: %s is not an executable file", filepath.Base(binary), binary)
	}
	return nil
}

// stages reads the configuration file.
func (t Target) stages() ([]stage, error) {
	raw, err := os.ReadFile(t.Conf)
	if err != nil {
		return nil, fmt.Errorf("read the network configuration: %w", err)
	}
	var n network
	if err := json.Unmarshal(raw, &n); err != nil {
		return nil, fmt.Errorf("%s: decode the network configuration: %w", t.Conf, err)
	}
	if n.Name == "" || n.CNIVersion == "" {
		return nil, fmt.Errorf("%s: name and cniVersion must be set", t.Conf)
	}
	plugins := n.Plugins
	if n.Type != "" {
		plugins = []json.RawMessage{raw}
	}
	if len(plugins) == 0 {
		return nil, fmt.Errorf("%s: neither type nor plugins is set: there is nothing to test", t.Conf)
	}
	var stages []stage
	for i, plugin := range plugins {
		s, err := t.stage(n, plugin)
		if err != nil {
			return nil, fmt.Errorf("%s: plugin %d: %w", t.Conf, i+1, err)
		}
		stages = append(stages, s)
	}
	return stages, nil
}

// stage derives the request configuration of section 3 from a plugin
// configuration object.
func (t Target) stage(n network, raw json.RawMessage) (stage, error) {
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return stage{}, err
	}
	pluginType, _ := config["type"].(string) // another type of value is as wrong as none
	if pluginType == "" || filepath.Base(pluginType) != pluginType {
		return stage{}, fmt.Errorf("type %q is not the name of a binary", pluginType)
	}
	capabilities, _ := config["capabilities"].(map[string]any) // absent means none
	delete(config, "capabilities")
	config["cniVersion"], config["name"] = n.CNIVersion, n.Name
	s := stage{binary: filepath.Join(t.BinDir, pluginType), config: config}
	for _, name := range slices.Sorted(maps.Keys(capabilities)) {
		if capabilities[name] == true {
			s.capabilities = append(s.capabilities, name)
		}
	}
	return s, nil
}

func ipamType(config map[string]any) string {
	ipam, _ := config["ipam"].(map[string]any) // absent means no delegation
	name, _ := ipam["type"].(string)
	return name
}

// runtimeConfig is what a runtime passes for attachment number n; nil where
// the plugin declares no capability that there is an argument for.
func (t Target) runtimeConfig(s stage, n int) map[string]any {
	args := map[string]any{}
	for _, name := range s.capabilities {
		if value, given := t.CapabilityArgs[name]; given {
			args[name] = value
		} else if name == "portMappings" {
			args[name] = []any{map[string]any{"hostPort": 18080 + n, "containerPort": 80, "protocol": "tcp"}}
		}
	}
	if len(args) == 0 {
		return nil
	}
	return args
}
