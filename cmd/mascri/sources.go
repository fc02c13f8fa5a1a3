package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/mascri/mascri/spec"
)

// envPrefix begins the names of the environment variables that set what a flag
// sets: --state-dir is MASCRI_STATE_DIR.
const envPrefix = "MASCRI_"

// setFromEnvironment sets the flags that were not given from variables. A
// variable with our prefix that sets nothing is an error: it is misspelt.
func setFromEnvironment(f *flag.FlagSet, environ []string, given map[string]bool) error {
	flags := map[string]*flag.Flag{}
	f.VisitAll(func(one *flag.Flag) {
		flags[envPrefix+strings.ToUpper(strings.ReplaceAll(one.Name, "-", "_"))] = one
	})
	var errs []error
	for _, pair := range environ {
		variable, value, _ := strings.Cut(pair, "=")
		one := flags[variable]
		switch {
		case one == nil && strings.HasPrefix(variable, envPrefix) && variable != spec.TraceEnv: // which the plugins inherit
			errs = append(errs, fmt.Errorf("%s=%s: there is no setting of that name; see mascri %s --help", variable, value, f.Name()))
		case one != nil && !given[one.Name]:
			given[one.Name] = true
			if err := f.Set(one.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("%s=%s: %w", variable, value, err))
			}
		}
	}
	return errors.Join(errs...)
}

// setFromFile sets what is left from the YAML file: its keys are the flags'
// names.
func setFromFile(f *flag.FlagSet, file string, given map[string]bool) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(text, &values); err != nil { // strict: no key twice
		return fmt.Errorf("read settings: %s: %w", file, err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case f.Lookup(name) == nil || name == "config":
			errs = append(errs, fmt.Errorf("%s: there is no setting %q", file, name))
		case !given[name]:
			if err := f.Set(name, word(values[name])); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", file, name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// word is a YAML value as a flag takes it; YAML's on and off are booleans.
func word(value any) string {
	switch v := value.(type) {
	case []any:
		var words []string
		for _, one := range v {
			words = append(words, word(one))
		}
		return strings.Join(words, ",")
	case bool:
		if v {
			return "on"
		}
		return "off"
	case nil:
		return ""
	}
	return fmt.Sprint(value)
}
