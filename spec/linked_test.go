package spec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	current "github.com/containernetworking/cni/pkg/types/100"
)

const linkedID = "action/main/program/0123456789abcdefghij"

// linked is a request to a plugin on board, and to the program of that plugin: a
// script that has its build ID. The script's log tells that it was executed.
func linked(t *testing.T, p Plugin) (r *Request, log string) {
	t.Helper()
	r, log = delegate(t, "# "+linkedID+"\necho '{}'")
	r.linked = &Linked{Plugin: p, BuildID: linkedID}
	return r, log
}

func notExecuted(t *testing.T, log string) {
	t.Helper()
	if commands, err := os.ReadFile(log); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the program was executed: %q, %v", commands, err)
	}
}

func TestLinkedIsCalledLikeAProgram(t *testing.T) {
	var got *Request
	r, log := linked(t, Plugin{Add: func(_ context.Context, r *Request) (*current.Result, error) {
		got = r
		return &current.Result{IPs: []*current.IPConfig{{Address: mustCIDR(t, "10.1.2.3/24")}}}, nil
	}})
	r.Config = []byte(`{"cniVersion":"0.4.0","name":"net","other":1}`)
	r.Version = "0.4.0"
	r.env = append(r.env, "CNI_NETNS=/gone", "CNI_IFNAME=eth0", "CNI_COMMAND=CHECK")
	result, err := r.Delegate(context.Background(), "ADD", "child")
	if err != nil || len(result.IPs) != 1 || result.IPs[0].Address.String() != "10.1.2.3/24" {
		t.Fatalf("%+v, %v", result, err)
	}
	if got.Command != "ADD" || got.ContainerID != "c1" || got.IfName != "eth0" || got.Version != "0.4.0" || string(got.Config) != string(r.Config) {
		t.Errorf("the plugin was asked for %+v", got)
	}
	notExecuted(t, log)
}

func TestLinkedFailureIsFollowedByDel(t *testing.T) {
	var commands []string
	r, log := linked(t, Plugin{
		Add: func(_ context.Context, r *Request) (*current.Result, error) {
			commands = append(commands, r.Command)
			return nil, Errorf(TryAgain, "busy")
		},
		Del: func(_ context.Context, r *Request) error { commands = append(commands, r.Command); return nil },
	})
	r.env = append(r.env, "CNI_NETNS=/gone", "CNI_IFNAME=eth0")
	if _, err := r.Delegate(context.Background(), "ADD", "child"); CodeOf(err) != TryAgain || !strings.Contains(err.Error(), "busy") {
		t.Errorf("%v: the plugin's own error was expected", err)
	}
	if strings.Join(commands, " ") != "ADD DEL" {
		t.Errorf("commands %q", commands)
	}
	notExecuted(t, log)
}

func TestLinkedPanicIsAnError(t *testing.T) {
	r, _ := linked(t, Plugin{Status: func(context.Context, *Request) error { panic("oh") }})
	r.Config = []byte(`{"cniVersion":"1.1.0","name":"net"}`)
	if _, err := r.Delegate(context.Background(), "STATUS", "child"); CodeOf(err) != Internal || !strings.Contains(err.Error(), "oh") {
		t.Errorf("%v, expected the panic as an error", err)
	}
}

// TestOthersAreExecuted: whoever puts another program in the plugin's place gets
// that program.
func TestOthersAreExecuted(t *testing.T) {
	for name, linkedTo := range map[string]*Linked{
		"nothing linked":             nil,
		"a build without its ID":     {},
		"a program of another build": {BuildID: linkedID + "x"},
	} {
		t.Run(name, func(t *testing.T) {
			r, log := linked(t, Plugin{})
			r.linked = linkedTo
			if _, err := r.Delegate(context.Background(), "STATUS", "child"); err != nil {
				t.Error(err)
			}
			if commands, err := os.ReadFile(log); err != nil || string(commands) != "STATUS\n" {
				t.Errorf("commands %q, %v", commands, err)
			}
		})
	}
	r, log := linked(t, Plugin{})
	far := "#!/bin/sh\necho $CNI_COMMAND >>" + log + "\n" + strings.Repeat("#\n", buildIDWithin/2) + "# " + linkedID + "\n"
	if err := os.WriteFile(filepath.Join(r.Path[0], "child"), []byte(far), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Delegate(context.Background(), "STATUS", "child"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(log); err != nil {
		t.Errorf("the ID in a program's data made it the linked one: %v", err)
	}
}
