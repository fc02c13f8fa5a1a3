package podnet

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/mascri/mascri/spec"
)

// Network is a network configuration list that was read, checked and made
// self-contained: it needs no file besides it.
type Network struct {
	Name     string
	Source   string          // the file it came from, or builtinSource
	Conflist json.RawMessage // section 1 of the CNI specification, as a list
	list     *libcni.NetworkConfigList
}

// conflist is a configuration list as we write it down. The specification's
// keys that are not here only tell where else to look, or which of several
// versions to speak; both are settled once a file has been read.
type conflist struct {
	CNIVersion             string            `json:"cniVersion"`
	Name                   string            `json:"name"`
	DisableCheck           bool              `json:"disableCheck,omitempty"`
	DisableGC              bool              `json:"disableGC,omitempty"`
	LoadOnlyInlinedPlugins bool              `json:"loadOnlyInlinedPlugins"`
	Plugins                []json.RawMessage `json:"plugins"`
}

// parseNetwork reads a configuration list, or a single plugin's configuration,
// which is a list of one. dir is where further plugins of the network may lie
// in a directory of its name (section 1, "loadOnlyInlinedPlugins"); "" is
// nowhere.
func parseNetwork(content []byte, source, dir string) (Network, error) {
	content, err := asList(content)
	if err != nil {
		return Network{}, err
	}
	list, err := libcni.NetworkConfFromBytes(content)
	if err != nil {
		return Network{}, err
	}
	if err := spec.CheckName(list.Name); err != nil {
		return Network{}, fmt.Errorf("name %w", err)
	}
	if dir != "" && !list.LoadOnlyInlinedPlugins {
		more, err := libcni.NetworkPluginConfsFromFiles(dir, list.Name)
		if err != nil {
			return Network{}, fmt.Errorf("plugins in %s: %w", filepath.Join(dir, list.Name), err)
		}
		list.Plugins = append(list.Plugins, more...)
	}
	if err := checkList(list); err != nil {
		return Network{}, err
	}
	return selfContained(list, source)
}

// asList wraps the configuration of a single plugin, the form of a .conf file,
// into a list.
func asList(content []byte) ([]byte, error) {
	var keys struct {
		CNIVersion json.RawMessage `json:"cniVersion,omitempty"`
		Name       json.RawMessage `json:"name,omitempty"`
		Type       json.RawMessage `json:"type,omitempty"`
		Plugins    json.RawMessage `json:"plugins,omitempty"`
	}
	if err := json.Unmarshal(content, &keys); err != nil {
		return nil, fmt.Errorf("not a JSON object of the expected form: %w", err)
	}
	if keys.Type == nil || keys.Plugins != nil {
		return content, nil
	}
	list := keys
	list.Type = nil
	plugins, err := json.Marshal([]json.RawMessage{content})
	list.Plugins = plugins
	if err != nil {
		return nil, err
	}
	return json.Marshal(list)
}

// checkList refuses what libcni would only stumble over during an ADD.
func checkList(list *libcni.NetworkConfigList) error {
	if len(list.Plugins) == 0 {
		return fmt.Errorf("network %s has no plugins: list at least one under \"plugins\"", list.Name)
	}
	newer, err := version.GreaterThan(list.CNIVersion, version.Current())
	if err != nil {
		return fmt.Errorf("cniVersion %q: %w", list.CNIVersion, err)
	}
	if newer {
		return fmt.Errorf("cniVersion %s is newer than %s, the newest known here", list.CNIVersion, version.Current())
	}
	for i, plugin := range list.Plugins {
		// The type becomes a file name in the plugins' directories.
		if t := plugin.Network.Type; strings.ContainsAny(t, `/\`) || t == "." || t == ".." {
			return fmt.Errorf("plugins[%d]: type %q is a path: give the plugin's name", i, t)
		}
	}
	return nil
}

// selfContained writes the list down anew with all its plugins inline.
func selfContained(list *libcni.NetworkConfigList, source string) (Network, error) {
	whole := conflist{
		CNIVersion:             list.CNIVersion,
		Name:                   list.Name,
		DisableCheck:           list.DisableCheck,
		DisableGC:              list.DisableGC,
		LoadOnlyInlinedPlugins: true,
	}
	for _, plugin := range list.Plugins {
		whole.Plugins = append(whole.Plugins, plugin.Bytes)
	}
	text, err := json.Marshal(whole)
	if err != nil {
		return Network{}, fmt.Errorf("network %s: %w", list.Name, err)
	}
	list.Bytes = text // what libcni keeps in its cache
	return Network{Name: list.Name, Source: source, Conflist: text, list: list}, nil
}

// Plugins names the network's plugins in the order they run.
func (n Network) Plugins() []string {
	var types []string
	for _, plugin := range n.list.Plugins {
		types = append(types, plugin.Network.Type)
	}
	return types
}

// declares tells whether a plugin of the network asks for a capability
// (CONVENTIONS.md of the CNI project, "Dynamic plugin specific fields").
func (n Network) declares(capability string) bool {
	for _, plugin := range n.list.Plugins {
		if plugin.Network.Capabilities[capability] {
			return true
		}
	}
	return false
}
