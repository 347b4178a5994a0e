package main

// The overlay of the test replaces this file by the two examples.

func readme() { panic("build this with the overlay of TestProgramsOfTableflipLoseNothing") }

func Example_httpShutdown() { readme() }
