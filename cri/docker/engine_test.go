package docker

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestConnectNegotiates(t *testing.T) {
	for api, want := range map[string]string{"1.41": "1.41", "1.44": "1.44", "9.99": "1.51"} {
		fake := newFake()
		fake.api = api
		e := fake.mustConnect(t)
		if e.version.API != want {
			t.Errorf("an engine with API %s is spoken to in %s, want %s", api, e.version.API, want)
		}
	}
	fake := newFake()
	fake.api = "1.40"
	_, err := fake.connect(t)
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "Docker 20.10") {
		t.Errorf("API 1.40: %v", err)
	}
}

func TestConnectWithoutEngine(t *testing.T) {
	_, err := Connect(t.Context(), "unix:///nonexistent/docker.sock")
	if !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	for _, want := range []string{"unix:///nonexistent/docker.sock", "dockerd running", "DOCKER_HOST", "may this user open"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

// An engine that accepts requests and says nothing holds nobody.
func TestSilentEngine(t *testing.T) {
	fake := newFake()
	fake.also["GET /containers/x/json"] = hang
	fake.also["POST /exec/y/start"] = hang
	fake.also["POST /containers/x/exec"] = answer(map[string]string{"Id": "y"})
	e := fake.mustConnect(t, WithCallTimeout(50*time.Millisecond))

	begin := time.Now()
	_, err := e.Inspect(t.Context(), "x")
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("inspect: %v", err)
	}
	_, err = e.Exec(t.Context(), "x", Command{Args: []string{"true"}})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("exec: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = e.Inspect(ctx, "x")
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnavailable) {
		t.Errorf("inspect with a deadline of the caller's: %v", err)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("took %s", took)
	}
}

func TestErrorsMatchSentinels(t *testing.T) {
	tests := []struct {
		status  int
		message string
		want    error
	}{
		{http.StatusNotFound, "No such container: x", ErrNotFound},
		{http.StatusConflict, "Container x is not running", ErrNotRunning},
		{http.StatusConflict, "the container name is already in use", ErrConflict},
		{http.StatusBadRequest, "invalid mount", ErrInvalid},
		{http.StatusNotFound, "cannot access path /image/no-such: lstat /image/no-such: no such file or directory", ErrInvalid},
		{http.StatusUnauthorized, "no", ErrDenied},
		{http.StatusForbidden, "no", ErrDenied},
		{http.StatusNotImplemented, "not here", ErrUnsupported},
		{http.StatusServiceUnavailable, "shutting down", ErrUnavailable},
		{http.StatusInternalServerError, "runc: something went wrong", ErrEngine},
	}
	for _, test := range tests {
		fake := newFake()
		fake.also["POST /containers/x/kill"] = refuse(test.status, test.message)
		err := fake.mustConnect(t).Kill(t.Context(), "x", "KILL")
		if !errors.Is(err, test.want) {
			t.Errorf("%d %s is %v, want %v", test.status, test.message, err, test.want)
		}
		if want := "kill x with KILL: " + test.message; err.Error() != want {
			t.Errorf("message %q, want %q", err, want)
		}
	}
}

// An image that a running container has stays, whoever removes it how often.
func TestRemoveImageInUse(t *testing.T) {
	fake := newFake()
	fake.also["GET /images/sha256:1/json"] = answer(map[string]string{"Id": "sha256:1"})
	fake.also["DELETE /images/sha256:1"] = refuse(http.StatusConflict, "conflict: image is being used by running container x")
	if err := fake.mustConnect(t).RemoveImage(t.Context(), "sha256:1"); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v, want ErrInUse", err)
	}
}

func TestIncompleteInspect(t *testing.T) {
	fake := newFake()
	fake.also["GET /containers/x/json"] = answer(map[string]any{"Id": "x", "State": map[string]any{}})
	if _, err := fake.mustConnect(t).Inspect(t.Context(), "x"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

// A removal that somebody else has under way is waited for.
func TestRemoveTwiceAtOnce(t *testing.T) {
	fake := newFake()
	fake.also["DELETE /containers/x"] = refuse(http.StatusConflict, "removal of container x is already in progress")
	waited := false
	fake.also["POST /containers/x/wait"] = func(w http.ResponseWriter, r *http.Request) {
		waited = true
		answer(map[string]int{"StatusCode": 0})(w, r)
	}
	if err := fake.mustConnect(t).Remove(t.Context(), "x"); err != nil || !waited {
		t.Errorf("error %v, waited %t", err, waited)
	}
}

// No more starts reach the engine at once than the limit says; the others wait
// and succeed, unless their context ends first.
func TestStartLimit(t *testing.T) {
	fake := newFake()
	var mu sync.Mutex
	now, most := 0, 0
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		now += by
		most = max(most, now)
	}
	hold := make(chan struct{})
	fake.also["POST /containers/{id}/start"] = func(w http.ResponseWriter, r *http.Request) {
		count(1)
		defer count(-1)
		if r.PathValue("id") == "slow" {
			<-hold
		}
		time.Sleep(5 * time.Millisecond)
		w.WriteHeader(http.StatusNoContent)
	}
	e := fake.mustConnect(t, WithStartLimit(2))
	var starts sync.WaitGroup
	for range 12 {
		starts.Go(func() {
			if err := e.Start(t.Context(), "quick"); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	if most != 2 {
		t.Errorf("%d starts at once, want 2", most)
	}

	for range 2 {
		starts.Go(func() {
			if err := e.Start(t.Context(), "slow"); err != nil {
				t.Error(err)
			}
		})
	}
	for len(e.limit) < 2 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := e.Start(ctx, "quick"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a start that finds no room: %v", err)
	}
	close(hold)
	starts.Wait()
}

// The wait for a turn is observed once a start, also one in vain.
func TestWaitForATurnIsObserved(t *testing.T) {
	fake := newFake()
	reached, hold := make(chan struct{}), make(chan struct{})
	fake.also["POST /containers/{id}/start"] = func(w http.ResponseWriter, _ *http.Request) {
		close(reached)
		<-hold
		w.WriteHeader(http.StatusNoContent)
	}
	waits := make(chan error, 2)
	e := fake.mustConnect(t, WithStartLimit(1), WithObserver(func(operation string, _ time.Duration, err error) {
		if operation == "wait for a turn" {
			waits <- err
		}
	}))
	started := make(chan error, 1)
	go func() { started <- e.Start(t.Context(), "first") }()
	<-reached
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := e.Start(ctx, "second"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a start that finds no room: %v", err)
	}
	close(hold)
	if err := <-started; err != nil {
		t.Error(err)
	}
	if first, second := <-waits, <-waits; first != nil || !errors.Is(second, context.DeadlineExceeded) {
		t.Errorf("observed the waits %v and %v, want one that ended and one in vain", first, second)
	}
}
