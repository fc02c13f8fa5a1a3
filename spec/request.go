package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

// maxConfig bounds stdin, in bytes. The largest real configuration carries the
// attachments of a full node for GC, some hundred kilobytes.
const maxConfig = 16 << 20

// Request is one execution's input after everything that section 2 requires
// of it has been checked.
type Request struct {
	Command     string   // ADD, DEL, CHECK, GC or STATUS
	ContainerID string   // CNI_CONTAINERID; empty for GC and STATUS
	Netns       string   // CNI_NETNS, a path; may be empty or vanished for DEL
	IfName      string   // CNI_IFNAME, the interface inside the container
	Args        Args     // CNI_ARGS
	Path        []string // CNI_PATH, where delegated plugins are looked up

	Config     []byte          // stdin as it came
	Name       string          // the network
	Version    string          // the config's cniVersion; "0.1.0" where it has none
	PrevResult *current.Result // nil where the config has none
	Valid      []Attachment    // GC: the attachments that must stay

	envelope envelope
	env      []string
	stderr   io.Writer
	linked   *Linked
}

// Attachment is one interface of one container in one network.
type Attachment struct {
	ContainerID string `json:"containerID"`
	IfName      string `json:"ifname"`
}

func (a Attachment) String() string { return a.ContainerID + "/" + a.IfName }

// Attachment returns what the request is about.
func (r *Request) Attachment() Attachment { return Attachment{r.ContainerID, r.IfName} }

// Logf writes a line for a person on stderr, which section 5 leaves free.
func (r *Request) Logf(format string, args ...any) {
	if r.stderr != nil {
		fmt.Fprintf(r.stderr, format+"\n", args...)
	}
}

// envelope is what the protocol itself reads of the config; the rest is the
// plugin's.
type envelope struct {
	CNIVersion string          `json:"cniVersion"`
	Name       string          `json:"name"`
	PrevResult json.RawMessage `json:"prevResult"`
	Valid      *[]Attachment   `json:"cni.dev/valid-attachments"`
	// libcni sends the list under this older name too.
	Attachments *[]Attachment `json:"cni.dev/attachments"`
}

// read fills the request from the environment and stdin. It judges only what
// it needs to read on; validate does the rest.
func (r *Request) read(stdin io.Reader) error {
	r.Command = r.lookup("CNI_COMMAND")
	r.ContainerID = r.lookup("CNI_CONTAINERID")
	r.Netns = r.lookup("CNI_NETNS")
	r.IfName = r.lookup("CNI_IFNAME")
	r.Path = splitPath(r.lookup("CNI_PATH"))

	config, err := io.ReadAll(io.LimitReader(stdin, maxConfig+1))
	if err != nil {
		return Errorf(IO, "error reading from stdin: %w", err)
	}
	if len(config) > maxConfig {
		return Errorf(IO, "network config on stdin is larger than %d bytes", maxConfig)
	}
	r.Config = config
	// The reference answers VERSION without reading its input; so a caller may
	// send none.
	if r.Command == "VERSION" && len(strings.TrimSpace(string(config))) == 0 {
		return nil
	}
	return r.readEnvelope()
}

func (r *Request) readEnvelope() error {
	var e envelope
	if err := json.Unmarshal(r.Config, &e); err != nil {
		return Errorf(Decode, "failed to decode network config on stdin: %w", err)
	}
	r.Name, r.Version = e.Name, e.CNIVersion
	if r.Version == "" {
		r.Version = "0.1.0" // the version before there was a key for it
	}
	r.envelope = e
	return nil
}

// readValid takes GC's list. Without the list every attachment would look
// stale, so its absence is an error and not an empty list.
func (r *Request) readValid() error {
	if r.Command != "GC" {
		return nil
	}
	valid := r.envelope.Valid
	if valid == nil {
		valid = r.envelope.Attachments
	}
	if valid == nil && !hasKey(r.Config, "cni.dev/valid-attachments") && !hasKey(r.Config, "cni.dev/attachments") {
		return Errorf(InvalidConfig, "GC of network %q: key cni.dev/valid-attachments is missing: without it nothing can be told to be stale", r.Name)
	}
	if valid != nil {
		r.Valid = *valid
	}
	return nil
}

// hasKey tells an absent key from a null one.
func hasKey(config []byte, key string) bool {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(config, &keys); err != nil {
		return false
	}
	_, ok := keys[key]
	return ok
}

// readPrevResult reads the result in the config's own version. On DEL and GC
// an unreadable one is no reason to keep what must go.
func (r *Request) readPrevResult() error {
	raw := r.envelope.PrevResult
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	result, err := readResult(r.Version, raw)
	if err == nil {
		r.PrevResult = result
		return nil
	}
	if r.Command == "DEL" || r.Command == "GC" {
		r.Logf("prevResult of network %q is ignored: %v", r.Name, err)
		return nil
	}
	return Errorf(Decode, "could not parse prevResult: %w", err)
}

// commands says since which version a verb exists, and whether it is about
// one attachment.
var commands = map[string]struct {
	since      string
	attachment bool
}{
	"ADD":    {"0.1.0", true},
	"DEL":    {"0.1.0", true},
	"CHECK":  {"0.4.0", true},
	"GC":     {"1.1.0", false},
	"STATUS": {"1.1.0", false},
}

// validate checks the request against section 2 before a verb sees it, so
// that a refused request has touched nothing.
func (r *Request) validate(supported []string) error {
	command, known := commands[r.Command]
	if !known {
		return Errorf(InvalidEnv, "unknown CNI_COMMAND: %s", r.Command)
	}
	if !slices.Contains(supported, r.Version) {
		return Errorf(IncompatibleVersion, "incompatible CNI versions: config is %q, plugin supports %q", r.Version, supported)
	}
	if ok, err := version.GreaterThanOrEqualTo(r.Version, command.since); err != nil || !ok {
		return Errorf(IncompatibleVersion, "config version does not allow %s: it is %q, the command exists since %q", r.Command, r.Version, command.since)
	}
	if err := CheckName(r.Name); err != nil {
		return Errorf(InvalidConfig, "invalid network name: key name %w", err)
	}
	if command.attachment {
		if err := r.validateAttachment(); err != nil {
			return err
		}
	}
	if err := r.readValid(); err != nil {
		return err
	}
	return r.readPrevResult()
}

func (r *Request) validateAttachment() error {
	if err := r.requireEnv(); err != nil {
		return err
	}
	if err := CheckName(r.ContainerID); err != nil {
		return Errorf(InvalidEnv, "invalid characters in CNI_CONTAINERID: it %w", err)
	}
	if err := CheckIfName(r.IfName); err != nil {
		return Errorf(InvalidEnv, "invalid CNI_IFNAME: it %w", err)
	}
	args, err := ParseArgs(r.lookup("CNI_ARGS"))
	if err != nil && r.Command != "DEL" { // nothing that DEL needs is in there
		return err
	}
	r.Args = args
	return r.refuseOwnNetns()
}

func (r *Request) requireEnv() error {
	var missing []string
	if r.ContainerID == "" {
		missing = append(missing, "CNI_CONTAINERID")
	}
	if r.IfName == "" {
		missing = append(missing, "CNI_IFNAME")
	}
	if r.Netns == "" && r.Command != "DEL" {
		missing = append(missing, "CNI_NETNS")
	}
	if len(missing) > 0 {
		return Errorf(InvalidEnv, "required env variables [%s] missing for %s", strings.Join(missing, ","), r.Command)
	}
	return nil
}

// refuseOwnNetns keeps a container's interface out of the caller's own
// namespace. On DEL the path may be a /proc/PID/ns/net whose PID now belongs
// to a process of the host: then the container's namespace is gone, and DEL
// cleans up without one. The reference looks only after it has acted.
func (r *Request) refuseOwnNetns() error {
	if override := r.lookup("CNI_NETNS_OVERRIDE"); override == "1" || strings.EqualFold(override, "true") {
		return nil
	}
	own, err := os.Stat("/proc/thread-self/ns/net")
	if errors.Is(err, os.ErrNotExist) { // no Linux kernel: there are no namespaces to confuse
		return nil
	}
	if err != nil {
		return Errorf(Kernel, "look up the plugin's own network namespace: %w", err)
	}
	pod, err := os.Stat(r.Netns)
	if err != nil || !os.SameFile(own, pod) { // whoever needs the netns says what is wrong with it
		return nil
	}
	if r.Command == "DEL" {
		r.Logf("CNI_NETNS %s is the host's own network namespace: taken as gone", r.Netns)
		r.Netns = ""
		return nil
	}
	return Errorf(InvalidNetns, "plugin's netns and netns from CNI_NETNS should not be the same: %s is the namespace that the plugin runs in; give the container's", r.Netns)
}

// lookup returns the last value of a variable, as the C library would not but
// every shell does; empty where there is none.
func (r *Request) lookup(key string) string {
	for i := len(r.env) - 1; i >= 0; i-- {
		if name, value, _ := strings.Cut(r.env[i], "="); name == key {
			return value
		}
	}
	return ""
}

func splitPath(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, string(os.PathListSeparator))
}
