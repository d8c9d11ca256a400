package processfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"
)

const (
	maxSize = 1 << 20
	version = "1"
)

// Load reads the process file at path. Variables come from its env file, then from lookup (the environment).
// What is wrong with the file is an *Error; a file that cannot be read is one too.
func Load(path string, lookup func(string) (string, bool)) (File, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return File{}, fmt.Errorf("find the process file: %w", err)
	}
	content, err := readFile(abs)
	if err != nil {
		return File{}, &Error{File: path, Text: err.Error()}
	}
	return parse(path, abs, content, lookup)
}

// Root is the folder that a process file speaks of: the parent of configs/, else the file's own folder.
func Root(path string) string {
	dir := filepath.Dir(path)
	if filepath.Base(dir) == "configs" {
		return filepath.Dir(dir)
	}
	return dir
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if len(content) > maxSize {
		return nil, errors.New("is larger than 1 MiB")
	}
	return content, nil
}

// parse reads content. shown is the file's name in errors.
func parse(shown, path string, content []byte, lookup func(string) (string, bool)) (File, error) {
	r := reader{file: shown, vars: lookup}
	f := File{Path: path, Root: Root(path)}
	top, err := r.document(content)
	if err != nil {
		return File{}, err
	}
	// The env file comes first wherever it stands: all other values may use its variables.
	env, err := r.envFile(top, f.Root)
	if err != nil {
		return File{}, err
	}
	r.vars = func(key string) (string, bool) {
		if value, ok := env[key]; ok {
			return value, true
		}
		return lookup(key)
	}
	seen := map[string]bool{}
	nodes := map[string]*yaml.Node{}
	err = r.fields(place{node: top}, fields{
		"version": func(at place) error {
			seen["version"] = true
			if at.node.Value != version || at.node.Kind != yaml.ScalarNode {
				return r.fail(at, "expected %s, found %s", version, describe(at.node))
			}
			return nil
		},
		"env_file": func(place) error { return nil },
		"processes": func(at place) error {
			seen["processes"] = true
			return r.entries(at, func(name string, at place) error {
				p, err := r.process(name, at, f.Root, env)
				nodes[name] = at.node
				f.Processes = append(f.Processes, p)
				return err
			})
		},
	})
	if err != nil {
		return File{}, err
	}
	for _, key := range []string{"version", "processes"} {
		if !seen[key] {
			return File{}, r.fail(place{key: key}, "is missing")
		}
	}
	if len(f.Processes) == 0 {
		return File{}, r.fail(place{key: "processes"}, "is empty")
	}
	if err := r.together(f, nodes); err != nil {
		return File{}, err
	}
	return f, nil
}

// yamlLine finds the line in the YAML library's own errors.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func (r reader) document(content []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, r.fail(place{}, "is empty")
	}
	if err == nil {
		if again := decoder.Decode(&second); again == nil {
			return nil, r.fail(place{node: &second}, "expected one YAML document, found another")
		} else if !errors.Is(again, io.EOF) {
			err = again
		}
	}
	if err != nil {
		text := err.Error()
		at := yamlLine.FindStringSubmatch(text)
		line, _ := strconv.Atoi(at[1])
		text = strings.ReplaceAll(text[len(at[0]):], "\n", " ")
		return nil, &Error{File: r.file, Line: line, Text: "not YAML: " + text}
	}
	return doc.Content[0], nil
}

func (r reader) envFile(top *yaml.Node, root string) (map[string]string, error) {
	env := map[string]string{}
	err := r.entries(place{node: top}, func(key string, at place) error {
		if key != "env_file" {
			return nil
		}
		var path string
		if err := r.text(at, &path); err != nil {
			return err
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		var err error
		env, err = readEnv(path)
		var wrong *Error
		if err != nil && !errors.As(err, &wrong) {
			return r.fail(at, "%v", err)
		}
		return err
	})
	return env, err
}

var processName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// reserved are names that mean something else to pgo's commands or in its folder of logs.
func reserved(name string) bool { return name == "all" || name == "pgo" }

func (r reader) process(name string, at place, root string, env map[string]string) (Process, error) {
	p := defaults(name)
	if !processName.MatchString(name) || reserved(name) {
		return p, r.fail(at, "expected a name of a-z, 0-9, - and _, at most 32 long and not all or pgo")
	}
	own := map[string]string{}
	err := r.fields(at, fields{
		"kind": func(at place) error { return r.oneOf(at, &p.Kind, Infra, Gate, Service) },
		"command": func(at place) error {
			if err := r.text(at, &p.Command); err != nil {
				return err
			}
			if p.Command == "" {
				return r.fail(at, "is empty")
			}
			// As a shell does: a bare name is looked up in PATH, everything else is a path.
			if strings.Contains(p.Command, "/") && !filepath.IsAbs(p.Command) {
				p.Command = filepath.Join(root, p.Command)
			}
			return nil
		},
		"args":      func(at place) error { return r.texts(at, &p.Args) },
		"after":     func(at place) error { return r.texts(at, &p.After) },
		"listeners": func(at place) error { return r.listeners(at, &p.Listeners) },
		"ready":     func(at place) error { return r.ready(at, &p.Ready) },
		"stop": func(at place) error {
			return r.fields(at, fields{
				"signal":  func(at place) error { return r.signal(at, &p.Stop.Signal) },
				"timeout": func(at place) error { return r.duration(at, &p.Stop.Timeout) },
			})
		},
		"restart": func(at place) error {
			return r.fields(at, fields{"final_exit_codes": func(at place) error {
				return r.list(at, func(at place) error {
					var code int
					err := r.number(at, 0, 255, &code)
					p.Final = append(p.Final, code)
					return err
				})
			}})
		},
		"env": func(at place) error {
			return r.entries(at, func(name string, at place) error {
				if !key.MatchString(name) {
					return r.fail(at, "expected a name of letters, digits and _")
				}
				var value string
				err := r.text(at, &value)
				own[name] = value
				return err
			})
		},
	})
	if err == nil && p.Command == "" {
		err = r.fail(place{at.node, at.under("command"), at.line}, "is missing")
	}
	if len(env)+len(own) > 0 {
		p.Env = maps.Clone(env)
		maps.Copy(p.Env, own)
	}
	return p, err
}

func (r reader) oneOf(at place, into *string, allowed ...string) error {
	if err := r.text(at, into); err != nil {
		return err
	}
	if !slices.Contains(allowed, *into) {
		return r.fail(at, "expected one of %s, found %q", strings.Join(allowed, ", "), *into)
	}
	return nil
}

func (r reader) signal(at place, into *string) error {
	if err := r.text(at, into); err != nil {
		return err
	}
	if unix.SignalNum(*into) == 0 {
		return r.fail(at, "expected a signal such as SIGTERM, found %q", *into)
	}
	return nil
}

func (r reader) listeners(at place, into *[]Listener) error {
	return r.entries(at, func(name string, at place) error {
		if !processName.MatchString(name) {
			return r.fail(at, "expected a name of a-z, 0-9, - and _")
		}
		l := Listener{Name: name}
		err := r.address(at, &l.Addr, true)
		*into = append(*into, l)
		return err
	})
}

// address reads an IP address and port. Names are not taken: what they resolve to may change while pgo runs.
func (r reader) address(at place, into *string, free bool) error {
	if err := r.text(at, into); err != nil {
		return err
	}
	ap, err := netip.ParseAddrPort(*into)
	if err != nil || (ap.Port() == 0 && !free) {
		return r.fail(at, "expected an IP address and port such as 127.0.0.1:8080, found %q", *into)
	}
	return nil
}

func (r reader) ready(at place, into *Ready) error {
	ways := 0
	err := r.fields(at, fields{
		"notify": func(at place) error { ways++; return r.flag(at, &into.Notify) },
		"tcp":    func(at place) error { ways++; return r.address(at, &into.TCP, false) },
		"http": func(at place) error {
			ways++
			if err := r.text(at, &into.HTTP); err != nil {
				return err
			}
			u, err := url.Parse(into.HTTP)
			if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
				return r.fail(at, "expected a URL such as http://127.0.0.1:8080/readyz, found %q", into.HTTP)
			}
			return nil
		},
		"within": func(at place) error { return r.duration(at, &into.Within) },
	})
	if err == nil && ways > 1 {
		err = r.fail(at, "expected one of notify, tcp and http, found %d of them", ways)
	}
	return err
}
