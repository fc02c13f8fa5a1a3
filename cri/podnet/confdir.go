package podnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// maxConfigSize bounds a configuration file. Real ones have a few hundred
// bytes, and the result has to fit into a container's label.
const maxConfigSize = 256 << 10

// configExtensions are the names under which CNI configurations are looked
// for: lists, single plugins, and the older name of the latter.
var configExtensions = []string{".conflist", ".conf", ".json"}

// ErrNoConfig says that the configuration directory has no file that could be
// a network's.
var ErrNoConfig = errors.New("no CNI configuration")

// ErrBadConfig says that there is a configuration, or a template of one, that
// gives no network: it has to be mended on the node.
var ErrBadConfig = errors.New("unusable CNI configuration")

// BrokenFile is a file of the configuration directory that had to be skipped.
type BrokenFile struct {
	Path string
	Err  error
}

func (b BrokenFile) Error() string { return fmt.Sprintf("CNI configuration %s: %v", b.Path, b.Err) }

// Unwrap gives what is wrong with the file.
func (b BrokenFile) Unwrap() error { return b.Err }

// Choose returns the network that a pod created now is put on: that of the
// first valid file in dir, in lexical order; where there is no file at all, the
// template's (see DefaultConflist), unless that is "". It also returns the
// broken files that it passed on the way. The error is ErrNoConfig or
// ErrBadConfig.
func Choose(dir, template string, data TemplateData) (Network, []BrokenFile, error) {
	network, broken, err := readConfDir(dir)
	if errors.Is(err, ErrNoConfig) && template != "" {
		network, err = FromTemplate(template, data)
	}
	if err != nil && !errors.Is(err, ErrNoConfig) {
		err = fmt.Errorf("%w: %w", ErrBadConfig, err)
	}
	return network, broken, err
}

// FromTemplate makes a network of a template, such as BuiltinTemplate.
func FromTemplate(template string, data TemplateData) (Network, error) {
	text, err := fillTemplate(template, data)
	if err != nil {
		return Network{}, err
	}
	return parseNetwork(text, builtinSource, "")
}

// readConfDir returns the network of the first file, in lexical order of the
// names, that holds a valid configuration, and the broken files it passed on
// the way. It reads the directory anew each time: one or two small files cost
// less than a watcher, and no change is ever missed.
//
// The error is ErrNoConfig where there is nothing to read, and joins the
// broken files' errors where there are only such.
func readConfDir(dir string) (Network, []BrokenFile, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if errors.Is(err, os.ErrNotExist) {
		return Network{}, nil, fmt.Errorf("%w: directory %s does not exist", ErrNoConfig, dir)
	}
	if err != nil {
		return Network{}, nil, fmt.Errorf("read CNI configuration directory: %w", err)
	}
	var broken []BrokenFile
	for _, entry := range entries {
		if entry.IsDir() || !slices.Contains(configExtensions, filepath.Ext(entry.Name())) {
			continue
		}
		file := filepath.Join(dir, entry.Name())
		network, err := ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed since the directory was read
		}
		if err == nil {
			return network, broken, nil
		}
		broken = append(broken, BrokenFile{Path: file, Err: err})
	}
	if len(broken) == 0 {
		return Network{}, nil, fmt.Errorf("%w: no *.conflist, *.conf or *.json in %s", ErrNoConfig, dir)
	}
	return Network{}, broken, joinBroken(broken)
}

// ReadFile reads the network of one configuration file.
func ReadFile(file string) (Network, error) {
	info, err := os.Stat(file)
	if err != nil {
		return Network{}, err
	}
	// Opening a FIFO would block for ever.
	if !info.Mode().IsRegular() {
		return Network{}, fmt.Errorf("not a regular file")
	}
	if info.Size() > maxConfigSize {
		return Network{}, fmt.Errorf("%d bytes long, at most %d are read", info.Size(), maxConfigSize)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return Network{}, err
	}
	return parseNetwork(content, file, filepath.Dir(file))
}

func joinBroken(broken []BrokenFile) error {
	var errs []error
	for _, b := range broken {
		errs = append(errs, b)
	}
	return errors.Join(errs...)
}
