//go:build privileged && linux

package podnet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// setUp attaches a pod to the current network.
func setUp(t *testing.T, m *Manager, id string) (Attachment, Result, error) {
	t.Helper()
	a, err := m.Prepare(t.Context(), Pod{Namespace: "ns", Name: "web", UID: "uid",
		Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}})
	if err != nil {
		t.Fatal(err)
	}
	netns, _ := newNamespace(t)
	result, err := m.SetUpPod(t.Context(), id, netns, a)
	return a, result, err
}

func assertNothingKept(t *testing.T, config Config) {
	t.Helper()
	for _, dir := range []string{filepath.Join(config.RunDir, netnsDir), filepath.Join(config.StateDir, "cni", "results")} {
		entries, err := os.ReadDir(dir)
		if len(entries) > 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s holds %v, %v", dir, entries, err)
		}
	}
}

func TestSetUpAndTearDown(t *testing.T) {
	config := testConfig(t)
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("net", "one", "two")})
	one, two := newFake(t, config, "one", ""), newFake(t, config, "two", "")
	m := pinningManager(t, config)
	a, result, err := setUp(t, m, "pod")
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Addresses) != 2 || result.Addresses[0].String() != "10.22.0.5/16" || result.Addresses[1].String() != "fd00::5/64" ||
		result.DNS.Servers[0] != "10.0.0.53" || result.DNS.Searches[0] != "example" {
		t.Errorf("result %+v", result)
	}
	for _, want := range []string{"CNI_COMMAND=ADD", "CNI_CONTAINERID=pod", "CNI_IFNAME=eth0", "CNI_NETNS=" + m.pinPath("pod"),
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web;K8S_POD_UID=uid;K8S_POD_INFRA_CONTAINER_ID=pod",
		`"runtimeConfig":{"portMappings":[{"containerPort":80,"hostPort":8080,"protocol":"tcp"}]}`} {
		if !strings.Contains(one.note(0), want) {
			t.Errorf("ADD got no %s in\n%s", want, one.note(0))
		}
	}
	if err := m.Check(t.Context(), "pod", a); err != nil {
		t.Error(err)
	}
	again := newManager(t, config) // after a restart
	kept, err := again.Result(t.Context(), "pod")
	if err != nil || !slices.Equal(kept.Addresses, result.Addresses) {
		t.Errorf("after a restart: %+v, %v", kept, err)
	}
	if err := again.TearDownPod(t.Context(), "pod", &a); err != nil {
		t.Error(err)
	}
	one.assertRuns("ADD", "CHECK", "DEL")
	two.assertRuns("ADD", "CHECK", "DEL")
	if !strings.Contains(two.note(2), "prevResult") || !strings.Contains(two.note(2), `"hostPort":8080`) {
		t.Errorf("DEL got\n%s", two.note(2))
	}
	if _, err := again.Result(t.Context(), "pod"); !errors.Is(err, ErrNotAttached) {
		t.Errorf("after DEL: %v, want ErrNotAttached", err)
	}
	assertNothingKept(t, config)
}

// DEL runs with what ADD ran with, whatever happened to the configuration.
func TestTearDownUsesWhatAddUsed(t *testing.T) {
	for title, change := range map[string]func(t *testing.T, config Config){
		"vanished": func(t *testing.T, config Config) { removeAll(t, config.ConfDir) },
		"broken": func(t *testing.T, config Config) {
			writeFiles(t, config.ConfDir, map[string]string{"10.conflist": "{"})
		},
		"another network": func(t *testing.T, config Config) {
			writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("other", "other")})
		},
		"another plugin": func(t *testing.T, config Config) {
			writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("net", "other")})
		},
	} {
		for _, keeper := range []string{"record", "attachment"} {
			t.Run(title+", from the "+keeper, func(t *testing.T) {
				config := testConfig(t)
				writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("net", "one")})
				one, other := newFake(t, config, "one", ""), newFake(t, config, "other", "")
				a, _, err := setUp(t, pinningManager(t, config), "pod")
				if err != nil {
					t.Fatal(err)
				}
				change(t, config)
				lost := &a
				if keeper == "record" {
					lost = nil
				} else {
					removeAll(t, filepath.Join(config.StateDir, "cni"))
				}
				if err := newManager(t, config).TearDownPod(t.Context(), "pod", lost); err != nil {
					t.Error(err)
				}
				one.assertRuns("ADD", "DEL")
				other.assertRuns()
				if !strings.Contains(one.note(1), `"hostPort":8080`) || !strings.Contains(one.note(1), "K8S_POD_UID=uid") {
					t.Errorf("DEL got\n%s", one.note(1))
				}
				assertNothingKept(t, config)
			})
		}
	}
}

func removeAll(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// A failed ADD is followed by a DEL for every plugin, and then nothing is kept.
func TestFailedSetUpIsTornDown(t *testing.T) {
	config := testConfig(t)
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("net", "one", "two")})
	one := newFake(t, config, "one", "")
	two := newFake(t, config, "two", `[ $CNI_COMMAND = ADD ] && { echo '{"code": 101, "msg": "none left"}'; exit 1; }`)
	m := pinningManager(t, config)
	a, _, err := setUp(t, m, "pod")
	if err == nil || !strings.Contains(err.Error(), "none left") || !strings.Contains(err.Error(), "10.conflist") {
		t.Errorf("SetUpPod = %v", err)
	}
	if _, err := m.Result(t.Context(), "pod"); !errors.Is(err, ErrNotAttached) {
		t.Errorf("Result = %v, want ErrNotAttached", err)
	}
	if err := m.TearDownPod(t.Context(), "pod", &a); err != nil {
		t.Error(err)
	}
	one.assertRuns("ADD", "DEL")
	two.assertRuns("ADD", "DEL")
	assertNothingKept(t, config)
}

// A DEL that fails keeps what the next one needs: the record and the namespace.
func TestTearDownIsRetried(t *testing.T) {
	config := testConfig(t)
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("net", "one")})
	one := newFake(t, config, "one", "")
	m := pinningManager(t, config)
	a, _, err := setUp(t, m, "pod")
	if err != nil {
		t.Fatal(err)
	}
	one.behave("exit 1")
	if err := m.TearDownPod(t.Context(), "pod", &a); err == nil {
		t.Error("the failure is hidden")
	}
	one.behave("")
	if err := m.TearDownPod(t.Context(), "pod", nil); err != nil {
		t.Error(err)
	}
	if !strings.Contains(one.note(2), "CNI_NETNS="+m.pinPath("pod")) {
		t.Errorf("the second DEL got\n%s", one.note(2))
	}
	assertNothingKept(t, config)
}

// A DEL that is owed is run with what ADD ran with, after everything else that
// knew of the pod has gone, also by the next run's GC.
func TestOwedTearDown(t *testing.T) {
	for title, pay := range map[string]func(m *Manager) error{
		"settled":   func(m *Manager) error { return m.Settle(t.Context()) },
		"collected": func(m *Manager) error { return m.GC(t.Context(), nil) },
	} {
		t.Run(title, func(t *testing.T) {
			config := testConfig(t)
			writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("net", "one")})
			one := newFake(t, config, "one", "[ $CNI_COMMAND = ADD ] && exit 1")
			m := pinningManager(t, config)
			a, _, err := setUp(t, m, "pod")
			if err == nil {
				t.Fatal("ADD succeeded")
			}
			if err := m.Owe("pod", &a); err != nil {
				t.Fatal(err)
			}
			removeAll(t, config.ConfDir)
			one.behave("exit 1")
			again := newManager(t, config)
			if err := pay(again); err == nil {
				t.Error("a DEL that failed is taken for done")
			}
			one.behave("")
			if err := pay(again); err != nil {
				t.Error(err)
			}
			one.assertRuns("ADD", "DEL", "DEL")
			if !strings.Contains(one.note(2), `"hostPort":8080`) {
				t.Errorf("DEL got\n%s", one.note(2))
			}
			if known, err := again.Known(); err != nil || len(known) > 0 {
				t.Errorf("known are %v, %v", known, err)
			}
			assertNothingKept(t, config)
		})
	}
}

// To libcni an empty ID is every container.
func TestTearDownOfNobodyIsRefused(t *testing.T) {
	config := testConfig(t)
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("net", "one")})
	one := newFake(t, config, "one", "")
	m := pinningManager(t, config)
	a, _, err := setUp(t, m, "pod")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "../pod"} {
		if err := m.TearDownPod(t.Context(), id, &a); err == nil {
			t.Errorf("TearDownPod(%q) succeeded", id)
		}
	}
	one.assertRuns("ADD")
	if err := m.TearDownPod(t.Context(), "pod", &a); err != nil {
		t.Error(err)
	}
}

func TestGC(t *testing.T) {
	config := testConfig(t)
	config.OwnNetworks = []string{"net"}
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("net", "one")})
	one := newFake(t, config, "one", "")
	m := pinningManager(t, config)
	for _, id := range []string{"kept", "gone"} {
		if _, _, err := setUp(t, m, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := newManager(t, config).GC(t.Context(), []string{"kept"}); err != nil {
		t.Error(err)
	}
	one.assertRuns("ADD", "ADD", "DEL", "GC")
	if !strings.Contains(one.note(2), "CNI_CONTAINERID=gone") {
		t.Errorf("DEL got\n%s", one.note(2))
	}
	if want := `"cni.dev/valid-attachments":[{"containerID":"kept","ifname":"eth0"}]`; !strings.Contains(one.note(3), want) {
		t.Errorf("GC got no %s in\n%s", want, one.note(3))
	}
	if known, err := m.Known(); err != nil || !slices.Equal(known, []string{"kept"}) {
		t.Errorf("known are %v, %v", known, err)
	}
	// Others may use this network: what we do not know there is not ours to free.
	config.OwnNetworks = nil
	if err := newManager(t, config).GC(t.Context(), nil); err != nil {
		t.Error(err)
	}
	one.assertRuns("ADD", "ADD", "DEL", "GC", "DEL")
	assertNothingKept(t, config)
}

// A pin that is gone, as after a restart of the daemon's container, is made
// again.
func TestRestore(t *testing.T) {
	config := testConfig(t)
	m := pinningManager(t, config)
	netns, _ := newNamespace(t)
	for range 2 {
		if err := m.Restore(t.Context(), "pod", netns); err != nil {
			t.Error(err)
		}
	}
	if m.pinned("pod") == "" {
		t.Error("not pinned")
	}
	if err := m.TearDownPod(t.Context(), "pod", nil); err != nil {
		t.Error(err)
	}
	assertNothingKept(t, config)
}

// Operations for one pod wait for each other; the wait ends with the caller.
func TestOnePodOneOperation(t *testing.T) {
	config := testConfig(t)
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("net", "slow")})
	slow := newFake(t, config, "slow", "[ $CNI_COMMAND = ADD ] && sleep 1")
	m := pinningManager(t, config)
	done := make(chan error)
	go func() {
		_, _, err := setUp(t, m, "pod")
		done <- err
	}()
	for len(slow.runs()) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.TearDownPod(ctx, "pod", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("TearDownPod beside SetUpPod: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := m.TearDownPod(t.Context(), "pod", nil); err != nil {
		t.Error(err)
	}
	slow.assertRuns("ADD", "DEL")
}

// A record that cannot be read costs its own pod the network, and no other.
func TestUnreadableRecord(t *testing.T) {
	config := testConfig(t)
	writeFiles(t, config.ConfDir, map[string]string{"10.conflist": fakeConflist("net", "one")})
	newFake(t, config, "one", "")
	m := pinningManager(t, config)
	var a Attachment
	for _, id := range []string{"broken", "good"} {
		var err error
		if a, _, err = setUp(t, m, id); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(config.StateDir, "cni", "results", "net-broken-eth0")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := regexp.MustCompile(`"config":"[^"]*"`).ReplaceAll(text, []byte(`"config":"e30="`)) // base64 of {}
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	again := newManager(t, config) // after a restart
	if _, err := again.Result(t.Context(), "broken"); !errors.Is(err, ErrNotAttached) {
		t.Errorf("with a broken record: %v, want ErrNotAttached", err)
	}
	if _, err := again.Result(t.Context(), "good"); err != nil {
		t.Errorf("beside a broken record: %v", err)
	}
	for _, id := range []string{"broken", "good"} {
		if err := again.TearDownPod(t.Context(), id, &a); err != nil {
			t.Error(err)
		}
	}
	assertNothingKept(t, config)
}
