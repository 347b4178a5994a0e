// Package notify tells the service manager what goes on in this process: that it
// is ready, reloads, stops, who the main process is, which files to keep.
package notify
