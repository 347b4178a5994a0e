package fd

// MaxRights is the largest number of descriptors that the kernel passes with one
// message: SCM_MAX_FD in include/net/scm.h, unix(7).
const MaxRights = 253

// RightsSpace is the size of the out-of-band buffer that MaxRights descriptors
// need on any architecture: a header of at most 16 bytes and 4 bytes for each.
const RightsSpace = 16 + 4*MaxRights + 4

// CloseAll closes fds. Errors of close say nothing that a caller could act on
// for descriptors that it gives up as a whole, so they are dropped.
func CloseAll(fds []*FD) {
	for _, f := range fds {
		_ = f.Close()
	}
}
