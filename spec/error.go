package spec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/containernetworking/cni/pkg/types"
)

// Code says what kind of thing went wrong. Codes up to 99 are the
// specification's (section 5, "Error"), those from 100 on are ours.
type Code uint

const (
	IncompatibleVersion Code = 1  // the config's cniVersion, or a verb it does not have
	UnsupportedField    Code = 2  // a key that is understood but cannot be had; msg names key and value
	UnknownContainer    Code = 3  // the container does not exist: no cleanup is needed
	InvalidEnv          Code = 4  // a CNI_* variable is missing or malformed; msg names it
	IO                  Code = 5  // stdin or stdout
	Decode              Code = 6  // the config or a result is not the JSON it should be
	InvalidConfig       Code = 7  // the config's content
	InvalidNetns        Code = 8  // CNI_NETNS is no network namespace, or the caller's own
	TryAgain            Code = 11 // a transient condition, such as a lock held by another
	NotAvailable        Code = 50 // STATUS: an ADD would fail
	LimitedConnectivity Code = 51 // STATUS: existing containers may be cut off as well

	Kernel      Code = 100 // the kernel refused or lost an object
	Exhausted   Code = 101 // no address is left
	CheckFailed Code = 102 // CHECK found something missing or changed
	Store       Code = 103 // the state on disk cannot be read or written
	Internal    Code = 104 // a defect in the plugin
)

// Error is an error with a code that the caller of the plugin may act upon.
type Error struct {
	Code    Code
	Msg     string // one sentence: what was tried, with what, and what to do
	Details string // optional: longer, for a person
	cause   error
}

func (e *Error) Error() string {
	if e.Details == "" {
		return e.Msg
	}
	return e.Msg + "; " + e.Details
}

// Unwrap gives the error that %w named in Errorf.
func (e *Error) Unwrap() error { return e.cause }

// Errorf makes an Error with the code; format and args are those of fmt.Errorf.
func Errorf(code Code, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Msg: err.Error(), cause: errors.Unwrap(err)}
}

// CodeOf finds the code that an error carries, ours or a delegated plugin's:
// the outermost one. A context that ran out is worth another try; an error
// without a code is a defect.
func CodeOf(err error) Code {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e := e.(type) {
		case *Error:
			return e.Code
		case *types.Error:
			return Code(e.Code)
		case interface{ Unwrap() []error }:
			return codeOfJoined(e.Unwrap())
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return TryAgain
	}
	return Internal
}

// CodeOr is CodeOf for errors of which most carry no code.
func CodeOr(err error, otherwise Code) Code {
	if code := CodeOf(err); code != Internal {
		return code
	}
	return otherwise
}

// Differences makes CHECK's error of all that was found. Where nothing but the
// reading went wrong, nothing is known to be missing, and the code says so.
func Differences(found ...error) error {
	code := TryAgain
	for _, err := range found {
		if err != nil && CodeOf(err) != TryAgain {
			code = CheckFailed
		}
	}
	if err := errors.Join(found...); err != nil {
		return Errorf(code, "%w", err)
	}
	return nil
}

func codeOfJoined(errs []error) Code {
	for _, err := range errs {
		if code := CodeOf(err); code != Internal {
			return code
		}
	}
	return Internal
}

// errorObject is section 5's "Error" as it is printed. The reference leaves
// cniVersion out, although the section lists it.
type errorObject struct {
	CNIVersion string `json:"cniVersion"`
	Code       Code   `json:"code"`
	Msg        string `json:"msg"`
	Details    string `json:"details,omitempty"`
}

// printError writes the error object. Section 2 says stderr in one place, but
// every runtime, libcni first, reads stdout.
func printError(w io.Writer, version string, err error) error {
	object := errorObject{CNIVersion: version, Code: CodeOf(err), Msg: err.Error()}
	// An error that is an Error as a whole keeps its two parts apart.
	if e, ok := err.(*Error); ok {
		object.Msg, object.Details = e.Msg, e.Details
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "    ")
	return encoder.Encode(object)
}
