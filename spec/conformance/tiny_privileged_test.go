//go:build privileged

package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The tiny plugins keep the specification in as few lines as that takes, one
// plugin of each kind. Each can be broken in one place: the fault has the ID
// of the row that it violates, and is read from a file beside the binary.

// tiny is one execution of a tiny plugin.
type tiny struct {
	kind  Kind
	fault string
	conf  tinyConf
	stdin []byte

	command, id, netns, ifname string
}

type tinyConf struct {
	CNIVersion string         `json:"cniVersion"`
	Name       string         `json:"name"`
	IPMasq     bool           `json:"ipMasq"`
	PrevResult *tinyResult    `json:"prevResult"`
	DNS        map[string]any `json:"dns"`
	IPAM       *struct {
		Type   string `json:"type"`
		Subnet string `json:"subnet"`
	} `json:"ipam"`
	Valid []struct {
		ID     string `json:"containerID"`
		IfName string `json:"ifname"`
	} `json:"cni.dev/valid-attachments"`

	all map[string]any
}

type tinyResult struct {
	CNIVersion string         `json:"cniVersion"`
	Interfaces []tinyIface    `json:"interfaces,omitempty"`
	IPs        []resultIP     `json:"ips,omitempty"`
	Routes     []tinyRoute    `json:"routes,omitempty"`
	DNS        map[string]any `json:"dns,omitempty"`
}

type tinyIface struct {
	Name    string `json:"name"`
	MAC     string `json:"mac,omitempty"`
	MTU     int    `json:"mtu,omitempty"`
	Sandbox string `json:"sandbox,omitempty"`
}

type tinyRoute struct {
	Dst      string `json:"dst"`
	Gateway  string `json:"gw,omitempty"`
	MTU      int    `json:"mtu,omitempty"`
	AdvMSS   int    `json:"advmss,omitempty"`
	Priority int    `json:"priority,omitempty"`
	Table    *int   `json:"table,omitempty"`
	Scope    *int   `json:"scope,omitempty"`
}

// tinyError is an error with a code of section 5.
type tinyError struct {
	code int
	msg  string
}

func (e tinyError) Error() string { return e.msg }

func tinyErrorf(code int, format string, args ...any) error {
	return tinyError{code, fmt.Sprintf(format, args...)}
}

// is tells whether this is the place to break.
func (t *tiny) is(rowID string) bool { return t.fault == rowID }

// tinyMain is the whole plugin.
func tinyMain(kind Kind) int {
	fault, err := os.ReadFile(os.Args[0] + ".fault")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		panic(err)
	}
	t := &tiny{
		kind: kind, fault: strings.TrimSpace(string(fault)),
		command: os.Getenv("CNI_COMMAND"), id: os.Getenv("CNI_CONTAINERID"),
		netns: os.Getenv("CNI_NETNS"), ifname: os.Getenv("CNI_IFNAME"),
	}
	err = t.run()
	if err == nil {
		return 0
	}
	t.printError(err)
	if t.is("error-exit-code") {
		return 0
	}
	return 1
}

func (t *tiny) run() error {
	var err error
	if t.stdin, err = io.ReadAll(os.Stdin); err != nil {
		return tinyErrorf(5, "read the configuration: %v", err)
	}
	if err := json.Unmarshal(t.stdin, &t.conf); err != nil {
		return tinyErrorf(6, "decode the configuration: %v", err)
	}
	if err := json.Unmarshal(t.stdin, &t.conf.all); err != nil {
		return tinyErrorf(6, "decode the configuration: %v", err)
	}
	if t.command == "VERSION" {
		return t.version()
	}
	if err := t.validate(); err != nil {
		return err
	}
	if err := t.brokenRuntime(); err != nil {
		return err
	}
	switch t.kind {
	case Interface:
		return t.interfaceVerb()
	case IPAM:
		return t.ipamVerb()
	case Chained:
		return t.chainedVerb()
	}
	return t.loopbackVerb()
}

var tinyVersions = []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"}

func (t *tiny) version() error {
	if t.is("version-result") {
		return tinyErrorf(100, "there is no VERSION")
	}
	answer := versionObject{t.conf.CNIVersion, tinyVersions}
	if t.is("version-keys") {
		answer.SupportedVersions = []string{"0.1.0"}
	}
	if t.is("version-echo") {
		answer.CNIVersion = "1.1.0"
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// tinyUnsupported is a key that the tiny plugins know and cannot do.
const tinyUnsupported = "shaping"

var tinyName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// validate is section 2's parameters and section 1's name.
func (t *tiny) validate() error {
	if !slices.Contains([]string{"ADD", "DEL", "CHECK", "GC", "STATUS"}, t.command) {
		if t.is("error-code-command") {
			return nil
		}
		return tinyErrorf(4, "CNI_COMMAND %q is unknown", t.command)
	}
	if !slices.Contains(tinyVersions, t.conf.CNIVersion) {
		return tinyErrorf(1, "cniVersion %q is not supported", t.conf.CNIVersion)
	}
	if !tinyName.MatchString(t.conf.Name) && !(t.is("config-name-syntax") && t.conf.Name != "") {
		return tinyErrorf(7, "network name %q is not allowed", t.conf.Name)
	}
	section := t.conf.all
	if t.kind == IPAM {
		section, _ = section["ipam"].(map[string]any) // absent: then it has no such key either
	}
	if value, asked := section[tinyUnsupported]; asked {
		return tinyErrorf(2, "%s: %v is not supported", tinyUnsupported, value)
	}
	if t.command == "GC" || t.command == "STATUS" {
		return nil
	}
	return t.validateAttachment()
}

func (t *tiny) validateAttachment() error {
	if !tinyName.MatchString(t.id) && !(t.is("env-containerid-syntax") && t.id != "") && !(t.is("env-required") && t.command == "DEL") {
		return tinyErrorf(4, "CNI_CONTAINERID %q is not allowed", t.id)
	}
	usable := t.ifname != "" && t.ifname != "." && t.ifname != ".." && len(t.ifname) < 16 && !strings.ContainsAny(t.ifname, "/: ")
	if !usable && t.is("env-ifname-unusable") {
		t.ifname, usable = "eth0", true
	}
	if !usable {
		return tinyErrorf(4, "CNI_IFNAME %q is not allowed", t.ifname)
	}
	if t.netns == "" && t.command != "DEL" {
		return tinyErrorf(4, "CNI_NETNS is missing")
	}
	return nil
}

// brokenRuntime is what a plugin must not demand or do before it gets to work.
func (t *tiny) brokenRuntime() error {
	switch {
	case t.is("config-unknown-fields") && t.conf.all["conformanceUnknown"] != nil:
		os.Exit(2)
	case t.is("config-reserved-keys") && t.conf.all["args"] != nil:
		return tinyErrorf(2, "args is unknown")
	case t.is("config-older-version") && t.conf.CNIVersion == "1.0.0":
		return tinyErrorf(100, "something that 1.0.0 had works no more")
	case t.is("env-path-optional") && os.Getenv("CNI_PATH") == "":
		return tinyErrorf(4, "CNI_PATH is missing")
	case t.is("env-args-optional") && os.Getenv("CNI_ARGS") == "":
		return tinyErrorf(4, "CNI_ARGS is missing")
	case t.is("env-netns-optional-del") && t.netns == "" && t.command == "DEL":
		return tinyErrorf(4, "CNI_NETNS is missing")
	case t.is("env-gc-no-attachment") && t.command == "GC", t.is("env-status-no-attachment") && t.command == "STATUS":
		return tinyErrorf(4, "CNI_CONTAINERID is missing")
	case t.is("status-ready") && t.command == "STATUS":
		return tinyErrorf(50, "never ready")
	case t.is("gc-nothing-stale") && t.command == "GC":
		return tinyErrorf(100, "nothing to collect")
	case t.is("check-after-add") && t.command == "CHECK":
		return tinyErrorf(100, "not converged yet")
	case t.is("gc-no-output") && t.command == "GC":
		fmt.Println("{}")
	case t.is("concurrent-add") && t.command == "ADD", t.is("concurrent-del") && t.command == "DEL":
		return t.aloneOnly()
	}
	return t.brokenMemory()
}

// brokenMemory relies on commands that need not have come before.
func (t *tiny) brokenMemory() error {
	seen := "/run/tiny.status." + string(t.kind)
	vanished := t.netns != "" && !exists(t.netns)
	switch {
	case t.is("status-not-relied-on") && t.command == "STATUS":
		return os.WriteFile(seen, nil, 0o600)
	case t.is("status-not-relied-on") && t.command == "ADD" && !exists(seen):
		return tinyErrorf(100, "STATUS was never called")
	case (t.is("del-repeated") || t.is("del-after-failed-add")) && t.command == "DEL" && vanished:
		return tinyErrorf(100, "the namespace is gone")
	case t.is("del-unknown") && t.command == "DEL" && !exists("/run/tiny.added."+string(t.kind)):
		return tinyErrorf(3, "the container is unknown")
	}
	return nil
}

// aloneOnly gives up where another container's plugin runs.
func (t *tiny) aloneOnly() error {
	const busy = "/run/tiny.busy"
	file, err := os.OpenFile(busy, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return tinyErrorf(100, "another one is at work: %v", err)
	}
	time.Sleep(200 * time.Millisecond)
	return errors.Join(file.Close(), os.Remove(busy))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tinyCodes are the rows about codes, with the code that each is about.
var tinyCodes = map[string]int{"error-code-version": 1, "error-code-field": 2, "error-code-environment": 4, "error-code-decode": 6, "error-code-config": 7}

func (t *tiny) printError(err error) {
	known := tinyError{100, err.Error()}
	errors.As(err, &known)
	if code, about := tinyCodes[t.fault]; about && known.code == code {
		known.code = 100
	}
	if t.is("error-reserved-codes") {
		known.code = 42
	}
	if t.is("error-names-variable") {
		known.msg = "a variable is missing"
	}
	if t.is("error-names-field") && known.code == 2 {
		known.msg = "something is not supported"
	}
	out := map[string]any{"cniVersion": t.conf.CNIVersion, "code": known.code, "msg": known.msg}
	if t.is("error-keys") {
		delete(out, "cniVersion")
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	switch {
	case t.is("error-object"):
		fmt.Println("ERROR:", known.msg)
	case t.is("status-error-on-stdout") && t.command == "STATUS":
		fmt.Fprintln(os.Stderr, string(b))
	default:
		fmt.Println(string(b))
	}
}

// print prints the result of ADD, broken where that is the fault.
func (t *tiny) print(r tinyResult) error {
	r.CNIVersion = t.conf.CNIVersion
	switch {
	case t.is("result-version"):
		r.CNIVersion = "0.4.0"
	case t.is("result-ip-syntax") && len(r.IPs) > 0:
		r.IPs[0].Address, _, _ = strings.Cut(r.IPs[0].Address, "/")
	case t.is("result-route-syntax") && len(r.Routes) > 0:
		r.Routes[0].Dst = "default"
	case t.is("result-dns-syntax"):
		r.DNS = map[string]any{"nameservers": []string{"192.0.2.53/32"}}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if t.is("add-prints-result") {
		b = append(append(b, '\n'), b...)
	}
	if err := os.WriteFile("/run/tiny.added."+string(t.kind), nil, 0o600); err != nil {
		return err
	}
	_, err = fmt.Println(string(b))
	return err
}

// valid tells whether GC has to keep the attachment called owner.
func (t *tiny) valid(owner string) bool {
	if t.is("gc-keeps-valid") {
		return false
	}
	for _, v := range t.conf.Valid {
		id, _, _ := strings.Cut(owner, " ")
		if v.ID+" "+v.IfName == owner || t.is("gc-removes-by-ifname") && v.ID == id || t.is("gc-removes-stale") {
			return true
		}
	}
	return t.is("gc-removes-stale")
}

// owner is the attachment as state is marked with it.
func (t *tiny) owner() string { return t.id + " " + t.ifname }

// owns tells whether DEL has to remove what owner marks.
func (t *tiny) owns(owner string) bool {
	id, _, _ := strings.Cut(owner, " ")
	return owner == t.owner() || t.is("add-second-interface") && id == t.id
}

// keepsOnDel is a DEL that gives up although something is left to free.
func (t *tiny) keepsOnDel() bool {
	return t.is("del-leaves-nothing") ||
		t.is("del-without-prevresult") && t.conf.PrevResult == nil ||
		t.is("del-without-netns") && t.netns == "" ||
		(t.is("del-vanished-netns") || t.is("del-frees-reservation")) && t.netns != "" && !exists(t.netns)
}
