// Program stands in for the real one, which takes a minute to build: it asks something of glibc.
package main

// #include <stdlib.h>
import "C"

func main() { C.abs(-1) }
