package docker

import (
	"errors"
	"strings"
	"testing"
)

func TestLastProgress(t *testing.T) {
	stream := `{"status":"Downloading","id":"a1","progressDetail":{"current":1,"total":3}}
{"status":"Download complete","id":"a1","progressDetail":{}}`
	var seen []progress
	if err := lastProgress(strings.NewReader(stream), func(p progress) { seen = append(seen, p) }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[0].ID != "a1" || seen[0].Detail.Total != 3 {
		t.Errorf("%+v", seen)
	}
	for _, broken := range []string{
		stream + `{"errorDetail":{"message":"toomanyrequests: slow down"},"error":"toomanyrequests: slow down"}`,
		stream + `{"status":`,
	} {
		if err := lastProgress(strings.NewReader(broken), func(progress) {}); err == nil {
			t.Errorf("no error in %s", broken)
		}
	}
}

func TestRegistryError(t *testing.T) {
	for text, want := range map[string]error{
		"manifest for a:1 not found: manifest unknown: manifest unknown":         ErrNotFound,
		`error parsing HTTP 404 response body: unexpected end of JSON input: ""`: ErrNotFound,
		`error parsing HTTP 403 response body: unexpected end of JSON input: ""`: ErrDenied,
		"Get http://a/v2/: unauthorized: authentication required":                ErrDenied,
		"pull access denied for a, repository does not exist":                    ErrDenied,
	} {
		if got := registryError(errors.New(text)); !errors.Is(got, want) || got.Error() != text {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
	if got := registryError(errors.New("i/o timeout")); errors.Is(got, ErrNotFound) || errors.Is(got, ErrDenied) {
		t.Errorf("a timeout is %v", got)
	}
}

// Whatever an engine sends, reading ends and does not panic.
func FuzzLastProgress(f *testing.F) {
	f.Add([]byte(`{"status":"Pulling","id":"a","progressDetail":{"current":1,"total":2}}`))
	f.Add([]byte(`{"errorDetail":{"code":500,"message":"no"}}`))
	f.Add([]byte(`{"status":1}`))
	f.Fuzz(func(t *testing.T, stream []byte) {
		messages := 0
		err := lastProgress(strings.NewReader(string(stream)), func(progress) { messages++ })
		if err == nil && messages > len(stream) {
			t.Errorf("%d messages in %d bytes", messages, len(stream))
		}
	})
}
