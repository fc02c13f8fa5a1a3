package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// standInScript takes the IPAM plugin's place ahead of it in CNI_PATH. It
// writes down what it was given, then gives the answer laid out for the
// command, or becomes the real plugin. A shell script, so that nothing has to
// be compiled or hidden in the suite's own binary; the environment is read from
// /proc because the shell has changed its own copy by then.
const standInScript = `#!/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
dir=%s
call=$dir/calls/$(ls $dir/calls | wc -l)
mkdir $call
cat /proc/$$/environ >$call/environ
cat >$call/stdin
echo '%s' >&2
if [ -e $dir/fail.$CNI_COMMAND ]; then
	cat $dir/fail.$CNI_COMMAND
	exit 1
fi
if [ -e $dir/answer.$CNI_COMMAND ]; then
	cat $dir/answer.$CNI_COMMAND
	exit 0
fi
exec %s <$call/stdin
`

const (
	// standInMark is what the stand-in writes on stderr.
	standInMark = "a line on stderr from the IPAM plugin"
	// passedOn is a variable that means nothing to any plugin.
	passedOn      = "CONFORMANCE_PASSED_ON"
	passedOnValue = "as it was"
	// standInError is what it answers where it is told to fail.
	standInError = `{"cniVersion":"1.1.0","code":50,"msg":"the IPAM plugin is not available","details":"told to fail by the conformance suite"}`
)

// delegated is one execution of the stand-in.
type delegated struct {
	command string
	env     map[string]string
	config  map[string]any
	raw     string
}

// standIn puts the stand-in in place; from here on CNI_PATH leads to it first.
func (p *probe) standIn() {
	p.delegate()
	bin := filepath.Join(standInDir, "bin")
	script := fmt.Sprintf(standInScript, standInDir, standInMark, quote(filepath.Join(p.target.BinDir, p.unit.ipam)))
	p.must(p.host.do("", func() error {
		if err := errors.Join(os.MkdirAll(bin, 0o755), os.MkdirAll(filepath.Join(standInDir, "calls"), 0o755)); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(bin, p.unit.ipam), []byte(script), 0o755)
	}))
	p.path = bin + ":" + p.target.BinDir
	p.note("%s in %s records and then runs the real one", p.unit.ipam, bin)
}

// delegateFails makes the stand-in answer command with an error.
func (p *probe) delegateFails(command string) { p.layOut("fail."+command, standInError) }

// delegateAnswers makes it answer without the real plugin.
func (p *probe) delegateAnswers(command, stdout string) { p.layOut("answer."+command, stdout) }

// delegateRecovers undoes delegateFails.
func (p *probe) delegateRecovers(command string) {
	p.note("the IPAM plugin answers %s again", command)
	p.must(p.host.do("", func() error { return os.Remove(filepath.Join(standInDir, "fail."+command)) }))
}

func (p *probe) layOut(name, text string) {
	p.note("the IPAM plugin is laid out to %s: %s", strings.Replace(name, ".", " ", 1), text)
	p.must(p.host.do("", func() error { return os.WriteFile(filepath.Join(standInDir, name), []byte(text), 0o644) }))
}

// delegatedCalls returns what the stand-in has recorded, in order, and starts
// a new record.
func (p *probe) delegatedCalls() []delegated {
	var all []delegated
	p.must(p.host.do("", func() error {
		calls := filepath.Join(standInDir, "calls")
		for i := 0; ; i++ {
			d, err := readDelegated(filepath.Join(calls, strconv.Itoa(i)))
			if errors.Is(err, fs.ErrNotExist) {
				return errors.Join(os.RemoveAll(calls), os.Mkdir(calls, 0o755))
			}
			if err != nil {
				return err
			}
			all = append(all, d)
		}
	}))
	for _, d := range all {
		p.note("the IPAM plugin was executed with CNI_COMMAND=%s", d.command)
	}
	return all
}

func readDelegated(dir string) (delegated, error) {
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil {
		return delegated{}, err
	}
	input, err := os.ReadFile(filepath.Join(dir, "stdin"))
	if err != nil {
		return delegated{}, err
	}
	d := delegated{env: map[string]string{}, raw: string(input)}
	for variable := range strings.SplitSeq(string(environ), "\x00") {
		if key, value, found := strings.Cut(variable, "="); found {
			d.env[key] = value
		}
	}
	d.command = d.env["CNI_COMMAND"]
	// What is no JSON stays nil, and differs from any configuration.
	_ = json.Unmarshal(input, &d.config)
	return d, nil
}

// received returns the first recorded call of command; it is a violation
// that there is none.
func (p *probe) received(command string) delegated {
	var seen []string
	for _, d := range p.delegatedCalls() {
		if d.command == command {
			return d
		}
		seen = append(seen, d.command)
	}
	p.violated("%s was not executed with CNI_COMMAND=%s (it was with: %s)", p.unit.ipam, command, orNothing(strings.Join(seen, ", ")))
	return delegated{}
}
