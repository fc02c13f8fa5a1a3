package portmap

import (
	"encoding/json"
	"fmt"

	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

// Config is a validated configuration.
type Config struct {
	Network       string
	Ports         []filter.Mapping
	SNAT          bool              // pods of the network and the host itself can use the host ports
	MasqueradeAll bool              // every client is hidden behind the host; only with SNAT
	IPv4, IPv6    filter.Conditions // which packets the host ports are for; no Match: all
}

// The names of the reference's backends.
const (
	iptablesBackend = "iptables"
	nftablesBackend = "nftables"
)

// rawConfig is the configuration as it is written.
type rawConfig struct {
	Name                 string   `json:"name"`
	Backend              *string  `json:"backend"`
	SNAT                 *bool    `json:"snat"`
	ConditionsV4         []string `json:"conditionsV4"`
	ConditionsV6         []string `json:"conditionsV6"`
	MasqAll              bool     `json:"masqAll"`
	MarkMasqBit          *int     `json:"markMasqBit"`
	ExternalSetMarkChain *string  `json:"externalSetMarkChain"`
	RuntimeConfig        struct {
		PortMappings []filter.RawMapping `json:"portMappings"`
	} `json:"runtimeConfig"`
}

// Parse reads a configuration and refuses, with code 6 or 7, what it could not
// carry out. The texts that users search for are the reference's.
func Parse(config []byte) (Config, error) {
	var raw rawConfig
	if err := json.Unmarshal(config, &raw); err != nil {
		return Config{}, spec.Errorf(spec.Decode, "failed to parse network configuration: %w", err)
	}
	parsed, err := raw.validate()
	if err != nil {
		return Config{}, spec.Errorf(spec.InvalidConfig, "%w", err)
	}
	return parsed, nil
}

func (raw rawConfig) validate() (c Config, err error) {
	c = Config{Network: raw.Name, SNAT: raw.SNAT == nil || *raw.SNAT}
	c.MasqueradeAll = c.SNAT && raw.MasqAll // as in the reference, snat false is about every client
	if err := raw.validateMarks(); err != nil {
		return c, err
	}
	if err := raw.validateBackend(); err != nil {
		return c, err
	}
	if c.IPv4, err = filter.ParseConditions(filter.IPv4, raw.ConditionsV4); err != nil {
		return c, fmt.Errorf("conditionsV4: %w", err)
	}
	if c.IPv6, err = filter.ParseConditions(filter.IPv6, raw.ConditionsV6); err != nil {
		return c, fmt.Errorf("conditionsV6: %w", err)
	}
	c.Ports, err = filter.ParseMappings(raw.RuntimeConfig.PortMappings)
	return c, err
}

// validateMarks checks the options about packet marks, which nothing here needs:
// what they are for is done by matching translated connections.
func (raw rawConfig) validateMarks() error {
	if raw.MarkMasqBit == nil {
		return nil
	}
	if raw.ExternalSetMarkChain != nil {
		//lint:ignore ST1005 the reference's text, which users search for
		return fmt.Errorf("Cannot specify externalSetMarkChain and markMasqBit")
	}
	if *raw.MarkMasqBit < 0 || *raw.MarkMasqBit > 31 {
		return fmt.Errorf("MasqMarkBit must be between 0 and 31")
	}
	return nil
}

// validateBackend refuses options of one backend where the other is asked for.
// Both do the same here, so without a backend either's options will do.
func (raw rawConfig) validateBackend() error {
	if raw.Backend == nil {
		return nil
	}
	other, wrong := "", []string(nil)
	switch *raw.Backend {
	case iptablesBackend:
		other = nftablesBackend
	case nftablesBackend:
		other = iptablesBackend
		if raw.ExternalSetMarkChain != nil {
			wrong = append(wrong, "externalSetMarkChain")
		}
	default:
		return fmt.Errorf("unrecognized backend %q: use %s or %s", *raw.Backend, iptablesBackend, nftablesBackend)
	}
	if syntax(raw.ConditionsV4) == other {
		wrong = append(wrong, "conditionsV4")
	}
	if syntax(raw.ConditionsV6) == other {
		wrong = append(wrong, "conditionsV6")
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s backend was requested but configuration contains %s-specific options %v", *raw.Backend, other, wrong)
	}
	return nil
}

// syntax is the backend whose syntax the conditions have; "" without conditions.
func syntax(conditions []string) string {
	switch {
	case len(conditions) == 0 || conditions[0] == "":
		return ""
	case conditions[0][0] == '-' || conditions[0][0] == '!':
		return iptablesBackend
	}
	return nftablesBackend
}
