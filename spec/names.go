package spec

import "fmt"

// maxIfName is IFNAMSIZ-1 (linux/if.h): an interface name's bytes without NUL.
const maxIfName = 15

// maxName bounds what becomes a file name: NAME_MAX of limits.h.
const maxName = 255

// CheckName tells whether s is a container ID or a network name as section 2
// defines them: a letter or digit, then letters, digits, '_', '.' and '-'.
// Nothing that passes can leave a directory when it is used as a file name.
func CheckName(s string) error {
	if s == "" {
		return fmt.Errorf("is empty")
	}
	if len(s) > maxName {
		return fmt.Errorf("is %d bytes long, %d are allowed", len(s), maxName)
	}
	for i := range len(s) {
		if !nameByte(s[i], i == 0) {
			return fmt.Errorf("%q has %q at byte %d: a letter or digit must come first, then letters, digits, '_', '.' or '-'", s, s[i], i)
		}
	}
	return nil
}

func nameByte(c byte, first bool) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	case c == '_', c == '.', c == '-':
		return !first
	}
	return false
}

// CheckIfName tells whether the kernel takes s as an interface name
// (dev_valid_name in net/core/dev.c).
func CheckIfName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("is empty")
	case len(s) > maxIfName:
		return fmt.Errorf("%q is %d bytes long, the kernel allows %d", s, len(s), maxIfName)
	case s == "." || s == "..":
		return fmt.Errorf("%q is not allowed", s)
	}
	for i := range len(s) {
		if c := s[i]; c == '/' || c == ':' || c <= ' ' || c == 0x7f {
			return fmt.Errorf("%q has %q at byte %d: '/', ':', spaces and control characters are not allowed", s, c, i)
		}
	}
	return nil
}
