package stream

import (
	"crypto/rand"
	"sync"
	"time"

	"k8s.io/cri-streaming/pkg/streaming"
)

// maxTokens bounds the URLs given out and not yet used.
const maxTokens = 1000

// tokens keeps requests between the gRPC call and the connection to the URL it
// answered. A token is 128 random bits or more: whoever holds it may run the
// command, so it must not be guessed. It works once, and not after ttl.
type tokens struct {
	ttl time.Duration
	now func() time.Time

	mu   sync.Mutex
	open map[string]pending
}

type pending struct {
	request any
	expires time.Time
}

func newTokens(ttl time.Duration) *tokens {
	return &tokens{ttl: ttl, now: time.Now, open: make(map[string]pending)}
}

// issue stores request and returns its token.
func (t *tokens) issue(request any) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) >= maxTokens {
		t.sweep()
	}
	if len(t.open) >= maxTokens {
		return "", streaming.NewErrorTooManyInFlight()
	}
	token := rand.Text()
	t.open[token] = pending{request, t.now().Add(t.ttl)}
	return token, nil
}

// redeem returns the request for token and forgets it.
func (t *tokens) redeem(token string) (request any, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.open[token]
	delete(t.open, token)
	if !ok || t.now().After(p.expires) {
		return nil, false
	}
	return p.request, true
}

// sweep drops expired tokens. Callers hold mu.
func (t *tokens) sweep() {
	now := t.now()
	for token, p := range t.open {
		if now.After(p.expires) {
			delete(t.open, token)
		}
	}
}
