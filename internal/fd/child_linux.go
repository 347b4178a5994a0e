//go:build ordinarychild

package fd

// siblingFlags makes a program a child of ours after all: a build by which e2e shows
// what CLONE_PARENT is for.
const siblingFlags = 0
