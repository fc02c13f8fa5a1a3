//go:build !linux

package netns

import "fmt"

// Do returns ErrUnsupported: there is nothing to enter.
func Do(path string, _ func() error) error {
	return fmt.Errorf("enter %s: %w", path, ErrUnsupported)
}
