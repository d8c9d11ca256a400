package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pgo/deploy/pgo/internal/processfile"
)

// initAnswers hold the answers that pgo init asks for, or gets as flags.
type initAnswers struct {
	program, name, address string
}

func newInitCommand(e *env) *cobra.Command {
	var a initAnswers
	c := &cobra.Command{
		Use:   "init",
		Short: "Set up a first process file",
		Long: "Writes configs/pgo.yaml, or --file, with one process. It asks for what the flags do not say, where there is a terminal to\n" +
			"ask.",
		Args: rejectArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := newProcessFile(e)
			if err != nil {
				return err
			}
			if term.IsTerminal(int(os.Stdin.Fd())) {
				if err := a.ask(os.Stdin, e.stdout, c.Flags().Changed); err != nil {
					return err
				}
			}
			if a.program == "" {
				return usageErrorf("name the program to run: --command ./web")
			}
			if a.name == "" {
				a.name = processfile.MakeName(a.program)
			}
			if err := writeProcessFile(e, path, a.processFile()); err != nil {
				return usageError{err}
			}
			_, err = fmt.Fprintf(e.stdout, "%s is written: pgo up starts %s, pgo schema prints all keys\n", path, a.name)
			return err
		},
	}
	c.Flags().StringVar(&a.program, "command", "", "program to run: a path from the root, or a name in PATH")
	c.Flags().StringVar(&a.name, "name", "", "name of its process (default from the program)")
	c.Flags().StringVar(&a.address, "address", "", "IP:port at which it serves; it is ready when that accepts a connection")
	return c
}

// ask asks for what has no flag. An empty answer takes the default.
func (a *initAnswers) ask(in io.Reader, out io.Writer, isGiven func(flag string) bool) error {
	lines := bufio.NewScanner(in)
	for _, question := range []struct {
		flag, text string
		answer     *string
		byDefault  func() string
	}{
		{"command", "Program to run, such as ./web or bin/web", &a.program, func() string { return "" }},
		{"name", "Name of its process", &a.name, func() string { return processfile.MakeName(a.program) }},
		{"address", "IP:port at which it serves, empty for none", &a.address, func() string { return "" }},
	} {
		if isGiven(question.flag) {
			continue
		}
		standard := question.byDefault()
		prompt := question.text
		if standard != "" {
			prompt += " [" + standard + "]"
		}
		fmt.Fprint(out, prompt+": ")
		if !lines.Scan() {
			return errors.Join(errors.New("init: the answers end too early"), lines.Err())
		}
		if *question.answer = strings.TrimSpace(lines.Text()); *question.answer == "" {
			*question.answer = standard
		}
	}
	return nil
}

// processFile returns the text of the process file.
func (a *initAnswers) processFile() []byte {
	quote := func(text string) string { return strconv.Quote(strings.ReplaceAll(text, "$", "$$")) } // YAML reads it as Go does
	ready := "    # ready: {http: \"http://127.0.0.1:8080/\"}   # when it counts as ready; else once it has run for a moment\n"
	if a.address != "" {
		ready = "    ready: {tcp: " + quote(a.address) + "}   # or {http: URL}, {exec: [command]}, {notify: true}\n"
	}
	return []byte("# The processes that pgo up starts. pgo schema and docs/pgo-process-file.md have all keys.\n" +
		"version: 1\n\n" +
		"processes:\n" +
		"  " + a.name + ":\n" +
		"    command: " + quote(a.program) + "\n" +
		"    # args: [-v]\n" +
		ready +
		"    # listeners: {http: \"127.0.0.1:8080\"}   # pgo opens it and the program takes it (LISTEN_FDS): reloads lose no request\n" +
		"    # env: {LOG_LEVEL: debug}\n" +
		"    # after: [database]                       # these have to be ready first\n" +
		"    # limits: {memory: 300MB}                 # above it the process is restarted\n" +
		"    # cron: \"0 3 * * *\"                       # restarts it every night\n")
}
