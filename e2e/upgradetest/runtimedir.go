//go:build linux

package upgradetest

import (
	"os"
	"path/filepath"
)

// runtimePaths are the directories that RuntimeDirectory= names.
func (s *service) runtimePaths() []string {
	var paths []string
	for _, d := range s.conf.runtimeDirs {
		paths = append(paths, filepath.Join(s.m.runtimeRoot(), d))
	}
	return paths
}

// makeRuntimeDirs makes what RuntimeDirectory= names.
func (s *service) makeRuntimeDirs() error {
	for _, path := range s.runtimePaths() {
		if err := os.MkdirAll(path, os.FileMode(s.conf.runtimeMode)); err != nil {
			return err
		}
		if err := os.Chmod(path, os.FileMode(s.conf.runtimeMode)); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) removeRuntimeDirs(again bool) {
	if s.conf.runtimeKeep == "yes" || s.conf.runtimeKeep == "restart" && again {
		return
	}
	for _, path := range s.runtimePaths() {
		if err := os.RemoveAll(path); err != nil {
			s.log.printf("%s: remove runtime directory: %v", s.name, err)
		}
	}
}
