//go:build privileged

package differential

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

// metaPlugin is the name of a plugin that makes no network itself: as flannel's
// does, it makes a configuration for bridge and host-local out of the node's
// subnet, remembers it for DEL, and executes bridge with it.
const metaPlugin = "flannel"

// metaConfig is the plugin's own configuration.
type metaConfig struct {
	CNIVersion string `json:"cniVersion"`
	Name       string `json:"name"`
	Subnet     string `json:"subnet"`  // of this node; flannel reads it from /run/flannel/subnet.env
	Network    string `json:"network"` // of all nodes
	DataDir    string `json:"dataDir"`
	Delegate   object `json:"delegate"`
}

// runMetaPlugin is the program's main function.
func runMetaPlugin() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: metaAdd, Check: metaCheck, Del: metaDel}, version.All, "delegates to bridge")
	os.Exit(0)
}

func readMeta(args *skel.CmdArgs) (c metaConfig, remembered string, err error) {
	err = json.Unmarshal(args.StdinData, &c)
	return c, filepath.Join(c.DataDir, args.ContainerID), err
}

// bridgeConfig is what the bridge plugin is told: flannel's defaults, under
// what the administrator wrote under "delegate".
func (c metaConfig) bridgeConfig() ([]byte, error) {
	config := object{
		"type": "bridge", "ipMasq": false, "isGateway": true, "mtu": 1450,
		"ipam": object{"type": "host-local", "subnet": c.Subnet, "routes": []object{{"dst": c.Network}}},
	}
	for key, value := range c.Delegate {
		config[key] = value
	}
	config["name"], config["cniVersion"] = c.Name, c.CNIVersion
	return json.Marshal(config)
}

func metaAdd(args *skel.CmdArgs) error {
	c, remembered, err := readMeta(args)
	if err != nil {
		return err
	}
	config, err := c.bridgeConfig()
	if err != nil {
		return err
	}
	if err := os.WriteFile(remembered, config, 0o600); err != nil {
		return err
	}
	result, err := invoke.DelegateAdd(context.Background(), "bridge", config, nil)
	if err != nil {
		return fmt.Errorf("delegate to bridge: %w", err)
	}
	return result.Print()
}

// metaCheck passes the prevResult on, which is the bridge's own.
func metaCheck(args *skel.CmdArgs) error {
	_, remembered, err := readMeta(args)
	if err != nil {
		return err
	}
	var own, config object
	text, err := os.ReadFile(remembered)
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err == nil {
		err = json.Unmarshal(args.StdinData, &own)
	}
	if err != nil {
		return err
	}
	config["prevResult"] = own["prevResult"]
	if text, err = json.Marshal(config); err != nil {
		return err
	}
	return invoke.DelegateCheck(context.Background(), "bridge", text, nil)
}

// metaDel uses what ADD remembered: the node's subnet may be another by now.
func metaDel(args *skel.CmdArgs) error {
	_, remembered, err := readMeta(args)
	if err != nil {
		return err
	}
	config, err := os.ReadFile(remembered)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := invoke.DelegateDel(context.Background(), "bridge", config, nil); err != nil {
		return fmt.Errorf("delegate to bridge: %w", err)
	}
	return os.Remove(remembered)
}
