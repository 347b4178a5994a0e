package machine

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
)

// bootTarget is the unit that a machine boots to.
const bootTarget = "default.target"

// searchPath is PATH for systemd and for commands.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// target pulls in what services need in order to run, and the journal.
const target = `[Unit]
Description=Machine
Requires=basic.target
Wants=systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket
After=basic.target systemd-journald.service
AllowIsolate=yes
`

// journal keeps every line, in memory.
const journal = `[Journal]
Storage=volatile
RateLimitBurst=0
ForwardToWall=no
ReadKMsg=no
Audit=no
`

// hosts are the names that programs look up without a resolver; small trees have none.
const hosts = "127.0.0.1 localhost\n::1 localhost\n127.0.0.1 machine\n"

// unitDirs are the directories for the units of packages. The links in the .wants
// directories beside them name the units that start at boot.
var unitDirs = []string{"/lib/systemd/system", "/usr/lib/systemd/system", "/usr/local/lib/systemd/system"}

// generatorDirs hold programs that make units of the host's configuration: mounts of
// fstab, getty for each terminal, init scripts.
var generatorDirs = []string{
	"/lib/systemd/system-generators", "/usr/lib/systemd/system-generators",
	"/usr/local/lib/systemd/system-generators",
}

// configure makes the root, which is an overlay by now, that of a machine that has
// nothing to do: whatever a version or a distribution would start at boot, from
// hardware over networks to timers, is left out.
func configure() error {
	for _, dir := range unitDirs {
		for _, pattern := range []string{"*.wants", "*.requires", "*.upholds"} {
			if err := removeMatching(filepath.Join(dir, pattern)); err != nil {
				return err
			}
		}
	}
	for _, dir := range append(generatorDirs, "/etc/systemd") {
		if err := removeMatching(filepath.Join(dir, "*")); err != nil {
			return err
		}
	}
	return writeFiles(map[string]string{
		"/etc/machine-id":                           randomID() + "\n",
		"/etc/hostname":                             "machine\n",
		"/etc/hosts":                                hosts,
		"/etc/systemd/system/" + bootTarget:         target,
		"/etc/systemd/journald.conf.d/machine.conf": journal,
	}, filepath.Dir(notifyPath))
}

// removeMatching removes all that pattern matches.
func removeMatching(pattern string) error {
	names, err := filepath.Glob(pattern)
	for _, name := range names {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}

// writeFiles writes files by path, replaces existing files, and makes dirs.
func writeFiles(files map[string]string, dirs ...string) error {
	for name := range files {
		dirs = append(dirs, filepath.Dir(name))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for name, text := range files {
		// A link here would point out of the machine's configuration, or nowhere.
		if err := os.RemoveAll(name); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// randomID returns a machine-id(5): the journals of two machines must not be taken for
// one, and an empty one would make this a first boot.
func randomID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails, crypto/rand
	return hex.EncodeToString(id)
}
