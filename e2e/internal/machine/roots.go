package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// A Root is a tree that a machine can have as its root.
type Root struct {
	Name    string // the Debian suite, or "host"
	Path    string // for [Options].Root
	Version int    // systemd's major version
}

// PodmanTree is the name of the tree that has podman, for stories about containers.
const PodmanTree = "podman"

// Roots returns the host's own tree, if it has systemd, and those that e2e/roots has
// built, except for PodmanTree. It reads directories only; the trees need not boot. ctx is looked at between
// trees.
func Roots(ctx context.Context) ([]Root, error) {
	dir, err := RootsDir()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("machine: %w", err)
	}
	roots := []Root{{Name: "host", Path: "/"}}
	for _, e := range entries {
		if e.IsDir() && e.Name()[0] != '.' && e.Name() != PodmanTree { // a dot: not complete yet
			roots = append(roots, Root{Name: e.Name(), Path: filepath.Join(dir, e.Name())})
		}
	}
	return versioned(ctx, roots)
}

// versioned returns those of roots that have systemd, with its version.
func versioned(ctx context.Context, roots []Root) (have []Root, err error) {
	for _, r := range roots {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if r.Version, err = VersionIn(r.Path); err == nil {
			have = append(have, r)
		}
	}
	return have, nil
}

// Find returns a tree with systemd of the given major version. The host's own is
// preferred. The error says how to get one.
func Find(version int) (Root, error) {
	roots, err := Roots(context.Background())
	if err != nil {
		return Root{}, err
	}
	for _, r := range roots {
		if r.Version == version {
			return r, nil
		}
	}
	return Root{}, fmt.Errorf("machine: no root tree with systemd %d; go run ./e2e/roots builds one", version)
}

// Podman returns PodmanTree. The error says how to get it.
func Podman() (Root, error) {
	dir, err := RootsDir()
	if err != nil {
		return Root{}, err
	}
	r := Root{Name: PodmanTree, Path: filepath.Join(dir, PodmanTree)}
	if r.Version, err = VersionIn(r.Path); err != nil {
		return Root{}, fmt.Errorf("%w; go run ./e2e/roots %s builds the tree", err, PodmanTree)
	}
	return r, nil
}

// RootsDir returns the directory of the trees: $CUTOVER_ROOTS, or cutover/roots in the
// user's cache directory.
func RootsDir() (string, error) {
	if dir := os.Getenv("CUTOVER_ROOTS"); dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("machine: no place for root trees, set CUTOVER_ROOTS: %w", err)
	}
	return filepath.Join(cache, "cutover", "roots"), nil
}

// sharedLibrary is the library that systemd's programs of one version share, and the
// one place that has the version in each distribution.
var sharedLibrary = regexp.MustCompile(`/libsystemd-shared-(\d+)[^/]*\.so$`)

// VersionIn returns the major version of the systemd in the tree root. A tree without
// one is an error wrapping [fs.ErrNotExist].
func VersionIn(root string) (int, error) {
	for _, pattern := range []string{"usr/lib*/systemd", "usr/lib/*/systemd", "lib/systemd"} {
		// The pattern is well-formed, unless the path of the tree is not: then there is
		// no match.
		found, _ := filepath.Glob(filepath.Join(root, pattern, "libsystemd-shared-*.so"))
		for _, name := range found {
			if match := sharedLibrary.FindStringSubmatch(name); match != nil {
				return strconv.Atoi(match[1])
			}
		}
	}
	return 0, fmt.Errorf("machine: systemd in %s: %w", root, fs.ErrNotExist)
}
