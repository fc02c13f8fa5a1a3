package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// misuse is a call that was not understood: exit code 2, as for the shell's own
// commands.
type misuse struct{ error }

func (m misuse) Unwrap() error { return m.error }

// ExitCode is for exitCode.
func (m misuse) ExitCode() int { return 2 }

// parseFlags is f.Parse, but where a flag is wrong it says so in one line, and
// does not print all the others: that is what --help is for.
func parseFlags(f *flag.FlagSet, args []string) error {
	out, usage := f.Output(), f.Usage
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	err := f.Parse(args)
	f.SetOutput(out)
	if errors.Is(err, flag.ErrHelp) {
		usage()
		return err
	}
	if err != nil {
		return misuse{fmt.Errorf("%w; see mascri %s --help", err, f.Name())}
	}
	return nil
}

// helpAsked tells whether a command's arguments ask for its help, which then is
// what the command is to print, and belongs on stdout.
func helpAsked(args []string) bool {
	for _, arg := range args {
		if arg == "--" {
			return false
		}
		if slices.Contains([]string{"-h", "-help", "--help"}, arg) {
			return true
		}
	}
	return false
}

// A subject is a part of a command's flags that belong together.
type subject struct {
	title string
	flags []*flag.Flag
}

// subjectsOf declares flags subject by subject.
func subjectsOf(f *flag.FlagSet, declare []func(*flag.FlagSet) (title string)) (subjects []subject) {
	known := map[string]bool{}
	for _, declareSome := range declare {
		s := subject{title: declareSome(f)}
		f.VisitAll(func(one *flag.Flag) {
			if !known[one.Name] {
				known[one.Name] = true
				s.flags = append(s.flags, one)
			}
		})
		subjects = append(subjects, s)
	}
	return subjects
}

// print writes the flags as flag.PrintDefaults does, under the subject's title
// and with the two dashes that our documents have.
func (s subject) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s:\n", s.title)
	for _, one := range s.flags {
		value, text := flag.UnquoteUsage(one)
		if one.DefValue != "" {
			value += fmt.Sprintf(" (default %s)", one.DefValue)
		}
		fmt.Fprintf(out, "  --%s %s\n        %s\n", one.Name, value, strings.ReplaceAll(text, "\n", "\n        "))
	}
}
