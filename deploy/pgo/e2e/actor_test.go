package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"net"
)

// runActor is a program for pgo to run. Each argument is an action, run in order; then it waits for SIGTERM.
func runActor(actions []string) {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	leave := func() {}
	linger := time.Duration(0)
	for _, action := range actions {
		verb, arg, _ := strings.Cut(action, "=")
		switch verb {
		case "ready":
			sendNotify("READY=1")
		case "status":
			sendNotify("STATUS=" + arg)
		case "print":
			fmt.Println(arg)
		case "exit":
			code, err := strconv.Atoi(arg)
			exitOnError(err)
			os.Exit(code)
		case "once": // exits with 1 the first time, leaving the file
			if _, err := os.Stat(arg); err == nil {
				continue
			}
			exitOnError(os.WriteFile(arg, nil, 0o600))
			os.Exit(1)
		case "need": // exits as for bad configuration while the file does not exist
			if _, err := os.Stat(arg); err != nil {
				fmt.Println("there is no", arg)
				os.Exit(78)
			}
		case "await": // blocks until the file exists
			for _, err := os.Stat(arg); err != nil; _, err = os.Stat(arg) {
				time.Sleep(5 * time.Millisecond)
			}
		case "ignore": // SIGTERM
			signal.Ignore(syscall.SIGTERM)
		case "record": // appends its start and end: FILE:NAME
			file, name, _ := strings.Cut(arg, ":")
			appendLine(file, "start "+name)
			leave = func() { appendLine(file, "stop "+name) }
		case "identify": // appends what pgo has set for it: FILE:NAME
			file, name, _ := strings.Cut(arg, ":")
			appendIdentity(file, name)
		case "linger": // after SIGTERM
			var err error
			linger, err = time.ParseDuration(arg)
			exitOnError(err)
		case "child": // starts a process in its group that ignores SIGTERM, with its pid in the file
			cmd := exec.Command(os.Args[0], "actor", "ignore", "touch="+arg)
			exitOnError(cmd.Start())
		case "orphan": // leaves a process that ends soon, in a session of its own
			cmd := exec.Command("sh", "-c", "sleep 0.1 & echo $! >"+arg)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			exitOnError(cmd.Run())
		case "touch":
			exitOnError(os.WriteFile(arg+".new", []byte(strconv.Itoa(os.Getpid())), 0o600))
			exitOnError(os.Rename(arg+".new", arg))
		case "serve": // HTTP on the listener inherited as http: the pid, and /crash
			go servePID()
		case "web": // HTTP as pgo's services do it
			leave = serveWeb()
		case "unless": // exits with 1 while the file exists
			if _, err := os.Stat(arg); err == nil {
				fmt.Println("there is", arg)
				os.Exit(1)
			}
		case "later": // exits as temporarily unavailable while the file exists
			if _, err := os.Stat(arg); err == nil {
				exitOnError(os.WriteFile(filepath.Join(filepath.Dir(arg), "asked"), []byte("yes"), 0o600))
				os.Exit(69)
			}
		case "saw": // writes LOOKS, the path that a gate checks, into the file
			exitOnError(os.WriteFile(arg, []byte(os.Getenv("LOOKS")), 0o600))
		case "hang": // while the file exists
			if _, err := os.Stat(arg); err == nil {
				fmt.Println("hanging")
				<-term
				os.Exit(0)
			}
		case "die": // soon, while the file exists
			if _, err := os.Stat(arg); err == nil {
				fmt.Println("dying young")
				time.AfterFunc(100*time.Millisecond, func() { os.Exit(4) })
			}
		case "admin": // metrics on the listener inherited as admin
			go serveAdmin(arg)
		case "flood":
			writeLines(arg)
		case "pings": // sends WATCHDOG=1 while the file does not exist
			go func() {
				for {
					if _, err := os.Stat(arg); err != nil {
						sendNotify("WATCHDOG=1")
					}
					time.Sleep(20 * time.Millisecond)
				}
			}()
		case "ends": // exits when the file appears: FILE:CODE
			file, number, _ := strings.Cut(arg, ":")
			code, err := strconv.Atoi(number)
			exitOnError(err)
			go func() {
				awaitSignalFile(file)
				os.Exit(code)
			}()
		case "leaves": // sends STOPPING=1 when the file appears, and stays
			go func() {
				awaitSignalFile(arg)
				sendNotify("STOPPING=1")
			}()
		case "escape": // starts a process that ignores SIGTERM, in a session of its own, with its pid in the file
			cmd := exec.Command(os.Args[0], "actor", "ignore", "touch="+arg)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			exitOnError(cmd.Start())
		case "err":
			fmt.Fprintln(os.Stderr, arg)
		case "bind":
			_, err := net.Listen("tcp", arg)
			exitOnError(err)
		default:
			panic("actor: " + action)
		}
	}
	<-term
	time.Sleep(linger)
	leave()
}

// awaitSignalFile waits until the file exists, and removes it: it is a signal to one process.
func awaitSignalFile(file string) {
	for os.Remove(file) != nil {
		time.Sleep(5 * time.Millisecond)
	}
}

func exitOnError(err error) {
	if err != nil {
		fmt.Println("actor:", err)
		os.Exit(1)
	}
}

func sendNotify(message string) {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	exitOnError(err)
	_, err = conn.Write([]byte(message))
	exitOnError(err)
}

func appendLine(file, line string) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	exitOnError(err)
	_, err = fmt.Fprintln(f, line)
	exitOnError(err)
	exitOnError(f.Close())
}

func servePID() {
	l := inheritedListener("http")
	http.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { os.Exit(1) })
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	exitOnError(http.Serve(l, nil))
}

// writeLines prints numbered lines, from 0, at a rate: COUNT:PER_SECOND.
func writeLines(arg string) {
	var count, rate int
	_, err := fmt.Sscanf(arg, "%d:%d", &count, &rate)
	exitOnError(err)
	out := bufio.NewWriter(os.Stdout)
	began := time.Now()
	for n := range count {
		if wait := time.Duration(n)*time.Second/time.Duration(rate) - time.Since(began); wait > time.Millisecond {
			exitOnError(out.Flush())
			time.Sleep(wait)
		}
		fmt.Fprintf(out, "line %08d of what a service logs in a day, about as long as such lines are\n", n)
		if out.Buffered() > 3000 { // whole lines, in writes small enough to be atomic
			exitOnError(out.Flush())
		}
	}
	exitOnError(out.Flush())
}
