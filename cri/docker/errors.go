package docker

import (
	"errors"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// The errors callers branch on; test with errors.Is. The text of the wrapped
// error is the engine's own, with the operation and its object in front.
var (
	// ErrNotFound: no container, image, network or exec of that name.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the name is taken, or the object is in use or in a state
	// that forbids the operation.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: the engine could not be reached or did not answer in
	// time. The same call may succeed later.
	ErrUnavailable = errors.New("engine unavailable")
	// ErrInvalid: the engine refuses the request as it stands.
	ErrInvalid = errors.New("invalid request")
	// ErrDenied: the engine or the registry refuses these credentials.
	ErrDenied = errors.New("permission denied")
	// ErrNotRunning: the operation needs a running container.
	ErrNotRunning = errors.New("container is not running")
	// ErrUnsupported: this engine version cannot do it, or no Docker can.
	ErrUnsupported = errors.New("not supported by this Docker engine")
	// ErrInUse: an image that a running container has is not removed.
	ErrInUse = errors.New("in use")
	// ErrEngine: something in the engine went wrong, and its own sentence is
	// all that is known of it.
	ErrEngine = errors.New("engine error")
)

// engineError pairs the engine's message with the sentinel it amounts to.
type engineError struct {
	kind error
	err  error
}

func (e *engineError) Error() string {
	return strings.TrimPrefix(e.err.Error(), "Error response from daemon: ")
}

func (e *engineError) Unwrap() []error { return []error{e.kind, e.err} }

// classify attaches the sentinel that fits an error of the Docker client.
func classify(err error) error {
	if err == nil {
		return nil
	}
	return &engineError{kind: kindOf(err), err: err}
}

func kindOf(err error) error {
	switch {
	case client.IsErrConnectionFailed(err),
		errors.Is(err, io.ErrUnexpectedEOF): // it ended in the middle of an answer
		return ErrUnavailable
	case strings.Contains(err.Error(), "cannot access path"):
		// Code 404 at a start: an image mounted as a volume lacks the subpath
		// (moby: daemon/volume/safepath). The container is there all the same.
		return ErrInvalid
	case errdefs.IsNotFound(err),
		// What Docker 20.10 answers, as code 500, about an image that another
		// caller is just removing.
		strings.Contains(err.Error(), "layer does not exist"):
		return ErrNotFound
	case errdefs.IsConflict(err):
		// The engine has one code, 409, for "name in use" and "not running";
		// only the text tells them apart (moby: daemon/errors.go).
		if strings.Contains(err.Error(), "is not running") {
			return ErrNotRunning
		}
		return ErrConflict
	case errdefs.IsInvalidArgument(err):
		return ErrInvalid
	case errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err):
		return ErrDenied
	case errdefs.IsNotImplemented(err):
		return ErrUnsupported
	case errdefs.IsUnavailable(err):
		return ErrUnavailable
	}
	return ErrEngine
}
