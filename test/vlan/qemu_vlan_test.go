//go:build vlan

package vlan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// bootLimit bounds the machine's life; an emulated one needs a minute or so.
const bootLimit = 5 * time.Minute

// boot runs the machine until it restarts, which -no-reboot makes an end, and
// gives what it wrote on its console. Software emulation (tcg) needs no right
// to the host's virtualisation. What follows "--" are the arguments of /init.
func boot(ctx context.Context, image, initramfs string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fmt.Errorf("the machine did not end within %s", bootLimit))
	defer cancel()
	arguments := strings.Join(append(os.Args[1:], "-test.v=true"), " ")
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg", "-cpu", "max", "-m", "512", "-no-reboot",
		"-display", "none", "-monitor", "none", "-nic", "none", "-serial", "stdio",
		"-kernel", image, "-initrd", initramfs,
		"-append", "console=ttyS0 panic=-1 loglevel=4 -- "+arguments)
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return strings.ReplaceAll(console.String(), "\r", ""), err
}

// verdict is the line by which the guest says how the tests ended. A kernel's
// message may share a line with it.
const verdict = "tests ended with exit status "

var (
	verdictLine = regexp.MustCompile(verdict + `(\d+)\n`)
	passedLine  = regexp.MustCompile(`(?m)^ *--- PASS: .*$`)
)

// judge is nil only where the tests ran to their end and passed, some at least.
func judge(console string) error {
	said := verdictLine.FindStringSubmatch(console)
	switch {
	case said == nil:
		return errors.New("the machine ended before its tests did")
	case said[1] != "0":
		return errors.New(said[0])
	case len(passed(console)) == 0:
		return errors.New("no test ran")
	}
	return nil
}

func passed(console string) []string { return passedLine.FindAllString(console, -1) }
