package docker

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
)

// fakeEngine answers what Connect asks, and what else a test gives it, by the
// patterns of http.ServeMux without the API version ("GET /containers/x/json").
type fakeEngine struct {
	api  string
	info system.Info
	also map[string]http.HandlerFunc
	log  bytes.Buffer // of the Engine connected to it
}

func newFake() *fakeEngine {
	return &fakeEngine{
		api:  "1.51",
		info: system.Info{CgroupDriver: "cgroupfs", SwapLimit: true},
		also: map[string]http.HandlerFunc{},
	}
}

func (f *fakeEngine) connect(t *testing.T, options ...Option) (*Engine, error) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", f.api) })
	mux.HandleFunc("GET /{api}/version", answer(types.Version{Version: "28.0.0", Arch: "amd64", Os: "linux"}))
	mux.HandleFunc("GET /{api}/info", answer(f.info))
	for pattern, handler := range f.also {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /{api}"+path, handler)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	options = append([]Option{WithLogger(slog.New(slog.NewTextHandler(&f.log, nil)))}, options...)
	return Connect(t.Context(), "tcp://"+server.Listener.Addr().String(), options...)
}

func (f *fakeEngine) mustConnect(t *testing.T, options ...Option) *Engine {
	t.Helper()
	e, err := f.connect(t, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// answer sends v.
func answer(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			panic(err) // v is the test's
		}
	}
}

// refuse sends an error as the engine does.
func refuse(status int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		answer(map[string]string{"message": message})(w, r)
	}
}

// hang reads the request and never answers.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the server sees the client leave only then
	<-r.Context().Done()
}

// created answers a create and remembers what was asked for.
func created(request *container.CreateRequest) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(request); err != nil {
			refuse(http.StatusBadRequest, err.Error())(w, r)
			return
		}
		w.WriteHeader(http.StatusCreated)
		answer(container.CreateResponse{ID: "new"})(w, r)
	}
}
