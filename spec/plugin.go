package spec

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	current "github.com/containernetworking/cni/pkg/types/100"
)

// AllVersions are the versions of the protocol that the verbs here and the
// result types of github.com/containernetworking/cni can speak.
var AllVersions = []string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// Plugin is what a plugin author writes: one function a verb. A verb that is
// nil has nothing to do and succeeds; Add must be there.
type Plugin struct {
	Name     string   // the actor in traces: "netplug"
	About    string   // one line, for a person who starts the plugin by hand
	Versions []string // supported cniVersions; nil means AllVersions
	Linked   *Linked  // a plugin that it delegates to and has on board

	// Add attaches the container. What it leaves in the kernel or on disk
	// when it returns an error is a leak.
	Add func(context.Context, *Request) (*current.Result, error)
	// Del succeeds when there is nothing to delete.
	Del func(context.Context, *Request) error
	// Check compares what Add made with what is there.
	Check func(context.Context, *Request) error
	// GC removes everything of the network that is not in Request.Valid.
	GC func(context.Context, *Request) error
	// Status fails when an Add would.
	Status func(context.Context, *Request) error
}

// Main is the whole main function of a plugin. It catches no signal: a plugin
// has to leave nothing that DEL or GC would not find when it is killed anyway,
// and signal.Notify costs each start a millisecond.
func Main(p Plugin) {
	os.Exit(p.Run(context.Background(), os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// Run executes the plugin once, as section 2 of the specification describes,
// and returns the exit code: 0, or 1 with an error object on stdout. A verb may
// write to stderr from several goroutines.
func (p Plugin) Run(ctx context.Context, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	r := &Request{env: env, stderr: stderr, linked: p.Linked}
	if r.lookup(TraceEnv) == "1" {
		ctx = WithTrace(ctx, traceTo(stderr))
	}
	if r.lookup("CNI_COMMAND") == "" {
		return p.introduce(stderr)
	}
	if err := p.run(ctx, r, stdin, stdout); err != nil {
		if printErr := printError(stdout, r.Version, err); printErr != nil {
			fmt.Fprintf(stderr, "%s: %v (and printing it on stdout: %v)\n", p.Name, err, printErr)
		}
		return 1
	}
	return 0
}

// introduce answers a person who started the plugin by hand.
func (p Plugin) introduce(stderr io.Writer) int {
	fmt.Fprintf(stderr, "%s\nCNI protocol versions supported: %s\n", p.About, strings.Join(p.versions(), ", "))
	return 0
}

func (p Plugin) versions() []string {
	if p.Versions == nil {
		return AllVersions
	}
	return p.Versions
}

// run reads the request and executes its verb. A panic becomes an error
// object: a runtime can report that, and cannot read a Go stack.
func (p Plugin) run(ctx context.Context, r *Request, stdin io.Reader, stdout io.Writer) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Error{Code: Internal, Msg: fmt.Sprintf("%s: panic: %v", p.Name, v), Details: string(debug.Stack())}
		}
	}()
	if err := r.read(stdin); err != nil {
		return err
	}
	if r.Command == "VERSION" {
		return p.printVersions(r, stdout)
	}
	if err := r.validate(p.versions()); err != nil {
		return err
	}
	switch r.Command {
	case "ADD":
		return p.add(ctx, r, stdout)
	case "DEL":
		return call(ctx, r, p.Del)
	case "CHECK":
		return call(ctx, r, p.Check)
	case "GC":
		return call(ctx, r, p.GC)
	default: // STATUS: validate let nothing else through
		return call(ctx, r, p.Status)
	}
}

func call(ctx context.Context, r *Request, verb func(context.Context, *Request) error) error {
	if verb == nil {
		return nil
	}
	return verb(ctx, r)
}

// add runs Add and prints its result. A result that the config's version
// cannot express, such as 0.2.0's without an address, is a failed ADD as well
// and must leave nothing.
func (p Plugin) add(ctx context.Context, r *Request, stdout io.Writer) error {
	result, err := p.Add(ctx, r)
	if err != nil {
		return err
	}
	err = printResult(stdout, r.Version, result)
	if err != nil && p.Del != nil {
		if undo := p.Del(context.WithoutCancel(ctx), r); undo != nil {
			r.Logf("%s: undo ADD of %s: %v", p.Name, r.Attachment(), undo)
		}
	}
	return err
}

// printVersions answers VERSION: cniVersion is the one on input (section 2,
// "VERSION"), the newest where there was none.
func (p Plugin) printVersions(r *Request, stdout io.Writer) error {
	answer := struct {
		CNIVersion        string   `json:"cniVersion"`
		SupportedVersions []string `json:"supportedVersions"`
	}{r.Version, p.versions()}
	if !slices.Contains(answer.SupportedVersions, answer.CNIVersion) {
		answer.CNIVersion = answer.SupportedVersions[len(answer.SupportedVersions)-1]
	}
	if err := json.NewEncoder(stdout).Encode(answer); err != nil {
		return Errorf(IO, "print versions: %w", err)
	}
	return nil
}
