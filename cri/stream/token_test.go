package stream

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestTokenExpires(t *testing.T) {
	now := time.Unix(1000, 0)
	tokens := newTokens(time.Minute)
	tokens.now = func() time.Time { return now }
	token, err := tokens.issue("request")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute + time.Nanosecond)
	if _, ok := tokens.redeem(token); ok {
		t.Error("an expired token was redeemed")
	}
}

func TestTokensAreBoundedUntilTheyExpire(t *testing.T) {
	now := time.Unix(1000, 0)
	tokens := newTokens(time.Minute)
	tokens.now = func() time.Time { return now }
	seen := map[string]bool{}
	for range maxTokens {
		token, err := tokens.issue("request")
		if err != nil || seen[token] {
			t.Fatalf("token %q: %v, repeated: %t", token, err, seen[token])
		}
		seen[token] = true
	}
	if _, err := tokens.issue("request"); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one too many: %v, want ResourceExhausted", err)
	}
	now = now.Add(2 * time.Minute)
	if _, err := tokens.issue("request"); err != nil {
		t.Errorf("after the others expired: %v", err)
	}
}
