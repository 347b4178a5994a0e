package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// A builder builds trees in dir from a mirror.
type builder struct {
	dir    string
	mirror string
	ready  bool // debootstrap is there
}

// ensure builds t unless it exists, and prints its progress.
func (b *builder) ensure(ctx context.Context, t tree) error {
	path := filepath.Join(b.dir, t.name)
	version, err := machine.VersionIn(path)
	if err == nil {
		fmt.Printf("%-20s systemd %d, is there\n", t.name, version)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	fmt.Printf("%-20s building\n", t.name)
	start := time.Now()
	if err := b.build(ctx, t, path); err != nil {
		return err
	}
	version, err = machine.VersionIn(path)
	if err != nil {
		return err
	}
	fmt.Printf("%-20s systemd %d, built in %v\n", t.name, version, time.Since(start).Round(time.Second))
	return nil
}

// build builds t beside path, and renames it to path when it is complete.
func (b *builder) build(ctx context.Context, t tree, path string) (err error) {
	partial := filepath.Join(b.dir, "."+t.name+".partial")
	if err := os.RemoveAll(partial); err != nil { // of an interrupted run
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(partial))
		}
	}()
	if err := b.bootstrap(ctx, t, partial); err != nil {
		return err
	}
	if t.extra != "" {
		if err := b.upgrade(ctx, t, partial); err != nil {
			return err
		}
	}
	if err := trim(partial); err != nil {
		return err
	}
	return os.Rename(partial, path)
}

// bootstrap installs the suite of t and, unless another suite has it, systemd.
func (b *builder) bootstrap(ctx context.Context, t tree, root string) error {
	args := []string{"--variant=minbase"}
	if t.extra == "" {
		args = append(args, "--include="+strings.Join(packages, ","))
	}
	return isolated(ctx, "debootstrap", append(args, t.suite, root, b.mirror)...)
}

// upgrade installs systemd of the extra suite of t, and more packages of it, into root.
func (b *builder) upgrade(ctx context.Context, t tree, root string) error {
	source := fmt.Sprintf("deb %s %s main\n", b.mirror, t.extra)
	if err := os.WriteFile(filepath.Join(root, "etc/apt/sources.list.d/extra.list"), []byte(source), 0o644); err != nil {
		return err
	}
	if err := isolated(ctx, "chroot", root, "apt-get", "update"); err != nil {
		return err
	}
	install := []string{root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes",
		"--no-install-recommends", "--target-release=" + t.extra}
	return isolated(ctx, "chroot", slices.Concat(install, packages, strings.Fields(t.more))...)
}

// downloads are the files that only apt needs.
var downloads = []string{"var/cache/apt/archives/*.deb", "var/cache/apt/*.bin", "var/lib/apt/lists/*"}

// trim removes the downloads from root: two fifths of it.
func trim(root string) error {
	for _, pattern := range downloads {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		for _, name := range names {
			err = errors.Join(err, os.RemoveAll(name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// prepare makes sure, once, that debootstrap can be run.
func (b *builder) prepare(ctx context.Context) error {
	if b.ready {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("not root, which debootstrap needs")
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		if err := installDebootstrap(ctx); err != nil {
			return err
		}
	}
	b.ready = true
	return nil
}

func installDebootstrap(ctx context.Context) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("debootstrap is missing; install it and the keys of Debian's archive (debian-archive-keyring)")
	}
	fmt.Println("installing debootstrap")
	if err := command(ctx, "apt-get", "update").run(); err != nil {
		return err
	}
	return command(ctx, "apt-get", "install", "--yes", "--no-install-recommends", "debootstrap", "debian-archive-keyring").run()
}
