package spec

import "strings"

// Args are the pairs of CNI_ARGS in their order: "K8S_POD_NAME=a;IP=10.1.2.3".
type Args []Arg

// Arg is one pair.
type Arg struct{ Key, Value string }

// ParseArgs reads CNI_ARGS (section 2, "Parameters"): alphanumeric key-value
// pairs separated by semicolons. An empty string has none; a pair without '='
// or without a key is an InvalidEnv error.
func ParseArgs(s string) (Args, error) {
	var args Args
	for pair := range strings.SplitSeq(s, ";") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, Errorf(InvalidEnv, "CNI_ARGS: invalid pair %q: expected KEY=VALUE;KEY=VALUE", pair)
		}
		args = append(args, Arg{Key: key, Value: value})
	}
	return args, nil
}

// Get returns the value of the key's last pair, and whether there is one.
func (a Args) Get(key string) (string, bool) {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i].Key == key {
			return a[i].Value, true
		}
	}
	return "", false
}

// IgnoreUnknown reports whether the caller asked that keys a plugin does not
// know be ignored (CONVENTIONS.md, "CNI_ARGS").
func (a Args) IgnoreUnknown() bool {
	switch v, _ := a.Get("IgnoreUnknown"); strings.ToLower(v) {
	case "1", "true":
		return true
	}
	return false
}
