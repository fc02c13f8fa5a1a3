// Command bare does nothing: its duration is what starting a Go program costs.
package main

func main() {}
