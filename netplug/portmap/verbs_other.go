//go:build !linux

package portmap

import (
	"context"
	"runtime"

	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/spec"
)

// kernelStep is empty where there is no Linux kernel: a step can be printed
// there, and neither applied nor checked.
type kernelStep any

// errNoKernel is every verb's answer.
func errNoKernel() error {
	return spec.Errorf(spec.NotAvailable, "host ports are made in the packet filter of a Linux kernel, which %s has not: run the plugin where the containers run", runtime.GOOS)
}

func add(context.Context, *spec.Request) (*current.Result, error) { return nil, errNoKernel() }
func del(context.Context, *spec.Request) error                    { return errNoKernel() }
func check(context.Context, *spec.Request) error                  { return errNoKernel() }
func gc(context.Context, *spec.Request) error                     { return errNoKernel() }
func status(context.Context, *spec.Request) error                 { return errNoKernel() }
