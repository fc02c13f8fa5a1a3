package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/moby/sys/user"
)

// Account is what an image's /etc/passwd and /etc/group say of a user.
type Account struct {
	GID    int   // of the user's own group; 0 where the user has no entry
	Groups []int // those that list the user as a member
}

// accountFiles are an image's /etc/passwd and /etc/group, "" without one.
type accountFiles struct{ passwd, group string }

// accountCache remembers the files by image ID: an image never changes.
type accountCache struct {
	turn  limiter // guards files; unlike a mutex it can be waited for with a context
	files map[string]accountFiles
}

const (
	// maxAccountImages bounds the memory; few nodes hold that many images.
	maxAccountImages = 256
	// maxAccountFile is the most that is read of either file, in bytes.
	maxAccountFile = 1 << 20
)

// LookupUser finds a user, by number or name, in an image, as the engine itself
// would for a container: with the same package, in the same files. image is an
// ID. ErrInvalid: the image has no user of that name.
func (e *Engine) LookupUser(ctx context.Context, image, name string) (Account, error) {
	files, err := e.accountsOf(ctx, image)
	if err != nil {
		return Account{}, err
	}
	found, err := user.GetExecUser(name, nil, strings.NewReader(files.passwd), strings.NewReader(files.group))
	if err != nil {
		return Account{}, fmt.Errorf("look up user %s in image %s: %w: %w", name, image, ErrInvalid, err)
	}
	return Account{GID: found.Gid, Groups: found.Sgids}, nil
}

func (e *Engine) accountsOf(ctx context.Context, image string) (files accountFiles, err error) {
	err = e.accounts.turn.do(ctx, func() (err error) {
		var known bool
		if files, known = e.accounts.files[image]; known {
			return nil
		}
		if files, err = e.readAccounts(ctx, image); err != nil {
			return err
		}
		if len(e.accounts.files) >= maxAccountImages {
			clear(e.accounts.files)
		}
		e.accounts.files[image] = files
		return nil
	})
	return files, err
}

// accountsName is the name of the container that accounts are read from. One
// that a killed process left is removed by the next reader.
const accountsName = "mascri-accounts"

// readAccounts reads the files out of a throw-away container, which is never
// started: the API shows no file of an image.
func (e *Engine) readAccounts(ctx context.Context, image string) (files accountFiles, err error) {
	config := &container.Config{Image: image, Entrypoint: []string{"-"}, Healthcheck: noHealthcheck()}
	host := &container.HostConfig{NetworkMode: networkMode(Private), LogConfig: container.LogConfig{Type: "none"}}
	if err := e.Remove(ctx, accountsName); err != nil && !errors.Is(err, ErrNotFound) {
		return files, err
	}
	id, err := e.create(ctx, "create container to read accounts", accountsName, config, host)
	if err != nil {
		return files, err
	}
	defer func() { err = errors.Join(err, e.Remove(context.WithoutCancel(ctx), id)) }()
	if files.passwd, err = e.readFile(ctx, id, "/etc/passwd"); err != nil {
		return files, err
	}
	files.group, err = e.readFile(ctx, id, "/etc/group")
	return files, err
}

// readFile reads a file of a container; one that is missing is empty. The
// engine sends a symbolic link as such, and says where it leads.
func (e *Engine) readFile(ctx context.Context, id, path string) (content string, err error) {
	err = e.call(ctx, "read "+path+" of", id, func(ctx context.Context) error {
		stat, err := e.client.ContainerStatPath(ctx, id, path)
		if err != nil {
			return err
		}
		if stat.LinkTarget != "" {
			path = stat.LinkTarget
		}
		archive, _, err := e.client.CopyFromContainer(ctx, id, path)
		if err != nil {
			return err
		}
		defer archive.Close()
		content, err = firstFile(archive)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return content, err
}

// firstFile is the content of the one file in an archive.
func firstFile(archive io.Reader) (string, error) {
	reader := tar.NewReader(archive)
	header, err := reader.Next()
	if err != nil {
		return "", err
	}
	if header.Typeflag != tar.TypeReg || header.Size > maxAccountFile {
		return "", fmt.Errorf("%w: %s is no file of at most %d bytes", ErrInvalid, header.Name, maxAccountFile)
	}
	var content bytes.Buffer
	_, err = io.Copy(&content, reader)
	return content.String(), err
}
