// Command dist builds the programs that hosts run: static, for several architectures, the same bytes from the same commit,
// with a list of what is in each and the checksums of all. A commit that does not touch a program leaves its bytes as they were.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "dist: %v\n", err)
		os.Exit(1)
	}
}

const usage = `dist [-out DIR] [-arch amd64,arm64] [-check [-fresh]] NAME=DIR...

Builds the main package of each DIR as NAME. VERSION in the environment names them all; else each is named by the day and the
id of the last commit that changed what it is built from. SOURCE_DATE_EPOCH replaces that commit's time.
`

func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := flag.NewFlagSet("dist", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	out := flags.String("out", "dist", "where to put what is built")
	archs := flags.String("arch", "amd64,arm64", "the architectures to build for")
	check := flags.Bool("check", false, "build the last commit twice, in two other directories, and compare; builds nothing here")
	fresh := flags.Bool("fresh", false, "with -check: compile everything again each time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	d := dist{Root: root, Out: *out, Archs: strings.Split(*archs, ","), Version: getenv("VERSION"), Epoch: getenv("SOURCE_DATE_EPOCH")}
	for _, arg := range flags.Args() {
		name, dir, ok := strings.Cut(arg, "=")
		if !ok || name == "" || filepath.Base(name) != name || dir == "" {
			return fmt.Errorf("%q is not NAME=DIR", arg)
		}
		d.Programs = append(d.Programs, program{Name: name, Dir: filepath.Clean(dir)})
	}
	if err := d.Validate(); err != nil {
		return err
	}
	if *check {
		return d.checkReproducible(ctx, *fresh, stdout)
	}
	return d.buildPrograms(ctx, stdout)
}

// dist is a set of programs to build.
type dist struct {
	Root     string // the checkout
	Out      string // beside Root where it is not absolute
	Archs    []string
	Programs []program
	Version  string   // of all programs; "" for each its own
	Epoch    string   // seconds since 1970 that replace the commit's time; "" for none
	Env      []string // more environment for the go command
}

// program is a main package, by its directory in the checkout.
type program struct{ Name, Dir string }

// Validate says what is wrong with d.
func (d dist) Validate() error {
	if len(d.Programs) == 0 {
		return errors.New("nothing to build: name programs as NAME=DIR")
	}
	seen := map[string]bool{}
	for _, p := range d.Programs {
		if seen[p.Name] {
			return fmt.Errorf("%s is named twice", p.Name)
		}
		seen[p.Name] = true
	}
	known := []string{"amd64", "arm64"}
	for _, arch := range d.Archs {
		if !slices.Contains(known, arch) {
			return fmt.Errorf("cannot build for %q; known are %s", arch, strings.Join(known, ", "))
		}
	}
	return nil
}

func (d dist) outputPath(path ...string) string {
	out := d.Out
	if !filepath.IsAbs(out) {
		out = filepath.Join(d.Root, out)
	}
	return filepath.Join(append([]string{out}, path...)...)
}
