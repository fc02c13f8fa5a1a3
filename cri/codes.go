package cri

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/podnet"
	"github.com/mascri/mascri/spec"
)

// errExists: the sandbox or container was created before.
var errExists = errors.New("already exists")

// errNotFound: no sandbox or container of that ID is ours.
var errNotFound = errors.New("not found")

// fieldError is a request that breaks a rule; field is the path of the part
// that does, as the CRI's proto file spells it.
type fieldError struct {
	field string
	err   error
}

func (e *fieldError) Error() string { return e.field + ": " + e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// invalid makes a fieldError.
func invalid(field, format string, args ...any) error {
	return &fieldError{field, fmt.Errorf(format, args...)}
}

// codeTable says which gRPC code an error amounts to; the first match counts.
var codeTable = []struct {
	err  error
	code codes.Code
}{
	{context.Canceled, codes.Canceled},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
	{errExists, codes.AlreadyExists},
	{errNotFound, codes.NotFound},
	{docker.ErrNotFound, codes.NotFound},
	{docker.ErrUnavailable, codes.Unavailable},
	{docker.ErrInvalid, codes.InvalidArgument},
	{docker.ErrDenied, codes.PermissionDenied},
	{docker.ErrNotRunning, codes.FailedPrecondition},
	{docker.ErrInUse, codes.FailedPrecondition},
	{docker.ErrConflict, codes.Aborted},
	{docker.ErrUnsupported, codes.Unimplemented},
	// To repeat the call helps nobody before the node's network is mended.
	{podnet.ErrNoConfig, codes.FailedPrecondition},
	{podnet.ErrBadConfig, codes.FailedPrecondition},
	{podnet.ErrNoPlugin, codes.FailedPrecondition},
	{podnet.ErrNoCapability, codes.FailedPrecondition},
	{errNoDockerNetwork, codes.FailedPrecondition},
	{errBehind, codes.Aborted},
	{syscall.ENOSPC, codes.ResourceExhausted},
	{docker.ErrEngine, codes.Internal},
}

// cniCodes says the same of the errors that plugins answer; whatever is not in
// it is trouble inside the plugin, Internal.
var cniCodes = map[spec.Code]codes.Code{
	spec.TryAgain:            codes.Unavailable,
	spec.NotAvailable:        codes.Unavailable,
	spec.LimitedConnectivity: codes.Unavailable,
	spec.Exhausted:           codes.ResourceExhausted,
	// The node's network configuration, or the pod's namespace, has to be
	// mended first.
	spec.IncompatibleVersion: codes.FailedPrecondition,
	spec.UnsupportedField:    codes.FailedPrecondition,
	spec.Decode:              codes.FailedPrecondition,
	spec.InvalidConfig:       codes.FailedPrecondition,
	spec.InvalidNetns:        codes.FailedPrecondition,
}

// codeOf finds the gRPC code of an error; Unknown is the kubelet's word for
// "try again, and tell the user".
func codeOf(err error) codes.Code {
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	var field *fieldError
	var annotation *podnet.AnnotationError
	if errors.As(err, &field) || errors.As(err, &annotation) {
		return codes.InvalidArgument
	}
	for _, entry := range codeTable {
		if errors.Is(err, entry.err) {
			return entry.code
		}
	}
	var plugin *types.Error
	if errors.As(err, &plugin) {
		if code, ok := cniCodes[spec.Code(plugin.Code)]; ok {
			return code
		}
		return codes.Internal
	}
	return codes.Unknown
}

// toStatus is the error as it goes over the wire.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return err // as it is: its text begins with the code, which would be said twice
	}
	return status.Error(codeOf(err), err.Error())
}
