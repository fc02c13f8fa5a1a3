//go:build !linux

package loopback

import (
	"context"

	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/spec"
)

// errNoLinux is every verb's answer where there is no Linux kernel.
var errNoLinux = spec.Errorf(spec.NotAvailable, "loopback configures a Linux network namespace, and this is no Linux kernel: run it where the containers run")

func add(context.Context, *spec.Request) (*current.Result, error) { return nil, errNoLinux }
func del(context.Context, *spec.Request) error                    { return errNoLinux }
func check(context.Context, *spec.Request) error                  { return errNoLinux }
func status(context.Context, *spec.Request) error                 { return errNoLinux }
