package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"net"
)

// act is a program for pgo to run. Each argument is something it does, in order; then it waits for SIGTERM.
func act(deeds []string) {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	leave := func() {}
	for _, deed := range deeds {
		verb, arg, _ := strings.Cut(deed, "=")
		switch verb {
		case "ready":
			notify("READY=1")
		case "status":
			notify("STATUS=" + arg)
		case "say":
			fmt.Println(arg)
		case "exit":
			code, err := strconv.Atoi(arg)
			check(err)
			os.Exit(code)
		case "once": // the first time only: leaves the file behind
			if _, err := os.Stat(arg); err == nil {
				continue
			}
			check(os.WriteFile(arg, nil, 0o600))
			os.Exit(1)
		case "need": // fails like bad configuration while the file is not there
			if _, err := os.Stat(arg); err != nil {
				fmt.Println("there is no", arg)
				os.Exit(78)
			}
		case "await": // blocks until the file is there
			for _, err := os.Stat(arg); err != nil; _, err = os.Stat(arg) {
				time.Sleep(5 * time.Millisecond)
			}
		case "ignore": // SIGTERM
			signal.Ignore(syscall.SIGTERM)
		case "record": // when it starts and ends: FILE:NAME
			file, name, _ := strings.Cut(arg, ":")
			record(file, "start "+name)
			leave = func() { record(file, "stop "+name) }
		case "child": // leaves a grandchild in its group that ignores SIGTERM, with its pid in the file
			cmd := exec.Command(os.Args[0], "actor", "ignore", "touch="+arg)
			check(cmd.Start())
		case "touch":
			check(os.WriteFile(arg+".new", []byte(strconv.Itoa(os.Getpid())), 0o600))
			check(os.Rename(arg+".new", arg))
		case "serve": // HTTP on the listener inherited as http: the pid, and /crash
			go serve()
		case "bind":
			_, err := net.Listen("tcp", arg)
			check(err)
		default:
			panic("actor: " + deed)
		}
	}
	<-term
	leave()
}

func check(err error) {
	if err != nil {
		fmt.Println("actor:", err)
		os.Exit(1)
	}
}

func notify(message string) {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	check(err)
	_, err = conn.Write([]byte(message))
	check(err)
}

func record(file, line string) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	check(err)
	_, err = fmt.Fprintln(f, line)
	check(err)
	check(f.Close())
}

func serve() {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		check(fmt.Errorf("LISTEN_PID is %q, want %d", os.Getenv("LISTEN_PID"), os.Getpid()))
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i, name := range names {
		if name != "http" {
			continue
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(3+i), syscall.F_GETFL, 0)
		if errno != 0 || flags&syscall.O_NONBLOCK == 0 {
			check(fmt.Errorf("the listener has lost O_NONBLOCK: %o %w", flags, errno))
		}
		l, err := net.FileListener(os.NewFile(uintptr(3+i), name))
		check(err)
		http.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { os.Exit(1) })
		http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
		check(http.Serve(l, nil))
	}
	check(fmt.Errorf("no listener http in %v", names))
}
