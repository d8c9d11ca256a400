package manager

import (
	"fmt"
	"net"
	"os"
	"reflect"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/control"
	"pgo/deploy/pgo/internal/proc"
	"pgo/deploy/pgo/internal/processfile"
	"pgo/deploy/pgo/internal/sockets"
	"pgo/deploy/pgo/internal/state"
	"pgo/deploy/pgo/internal/supervise"
	"pgo/deploy/pgo/internal/web"
)

const managersKey = "managers" // how many there ever were

// httpServer is pgo's own HTTP server.
type httpServer struct {
	settings processfile.HTTP
	addr     string // with the port that was chosen
	server   *web.Server
}

// managerInfo does not change while this manager runs.
type managerInfo struct {
	info    control.Info
	started time.Time
	number  int64 // managers so far, this one included
}

// countManager counts the managers that the keeper has started, this one included.
func (m *Manager) countManager(info control.Info) managerInfo {
	n, _ := strconv.ParseInt(string(m.deps.Link.Hello.Data[managersKey]), 10, 64) // the first one finds nothing
	m.deps.Link.KeepData(managersKey, []byte(strconv.FormatInt(n+1, 10)))
	return managerInfo{info: info, started: time.Now(), number: n + 1}
}

// currentInfo returns the info as it is now.
func (m *Manager) currentInfo() control.Info {
	m.httpMu.Lock()
	defer m.httpMu.Unlock()
	info := m.about.info
	info.File = m.set.File().Path
	if m.http != nil {
		info.HTTP = m.http.addr
	}
	return info
}

// serveHTTP makes pgo's own HTTP server follow the configuration, on the listener that the keeper holds. The caller holds
// m.applying.
func (m *Manager) serveHTTP(to processfile.HTTP) {
	m.httpMu.Lock()
	was := m.http
	m.httpMu.Unlock()
	if was != nil && reflect.DeepEqual(was.settings, to) {
		return
	}
	if was != nil {
		was.server.Close()
	}
	var is *httpServer
	if to.Addr != "" {
		var err error
		if is, err = m.openHTTP(to); err != nil {
			m.deps.Log.Error("serve http", "error", err)
		}
	}
	m.httpMu.Lock()
	m.http = is
	m.httpMu.Unlock()
}

func (m *Manager) openHTTP(to processfile.HTTP) (*httpServer, error) {
	open := m.listeners[sockets.SharedKey(processfile.OwnerPgo, to.Listener())]
	// A copy: the server closes its own, the listener stays.
	fd, err := unix.FcntlInt(uintptr(open.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), open.Key)
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	o := web.Options{Source: m, Hosts: to.Hosts, PM2Names: to.PM2Names, Log: m.deps.Log, OnAnswer: m.memory.noteScrape}
	return &httpServer{settings: to, addr: open.Addr, server: web.StartServer(l, o)}, nil
}

// closeHTTP closes the server for the next manager: connections wait meanwhile.
func (m *Manager) closeHTTP() {
	m.httpMu.Lock()
	is := m.http
	m.httpMu.Unlock()
	if is != nil {
		is.server.Close()
	}
}

// Snapshot returns the state of all processes, for metrics and the web page. Only with measured does it measure what they
// use.
func (m *Manager) Snapshot(measured bool) web.Snapshot {
	f := web.Snapshot{Info: m.currentInfo(), Started: m.about.started, Managers: m.about.number}
	var records []state.Record
	records, f.Events = m.deps.Store.Records()
	for _, r := range records {
		f.Processes = append(f.Processes, web.Process{Process: r.Process, Started: r.Started, Restarts: r.TotalRestarts, WatchdogKills: r.WatchdogKills, LivenessKills: r.LivenessKills, Files: -1})
	}
	processes := m.set.ByName()
	for i := range f.Processes {
		if p := processes[f.Processes[i].Process.Name]; p != nil {
			f.Processes[i].Limit = p.Spec().Limits.Memory
			if all, n := p.Instances(), f.Processes[i].Process.Instance; n < len(all) {
				f.Processes[i].CPUWarning, f.Processes[i].MemoryWarning = all[n].Hot.Load(), all[n].Large.Load()
			}
		}
	}
	for _, name := range supervise.SortedNames(processes) {
		n := web.Group{Name: name}
		n.Dropped.Lines, n.Dropped.Bytes = m.deps.LogFiles.Dropped(m.deps.Home.LogPath(name), m.deps.Home.ErrLogPath(name))
		spec := processes[name].Spec()
		if spec.Reload.Mode == processfile.ReloadBeside {
			n.Reloads = m.deps.Reloads.Get(name)
		}
		if spec.Watch.Enabled {
			n.Deploys = m.deployer.Counters().Get(name)
		}
		f.Groups = append(f.Groups, n)
	}
	if measured {
		m.measureUsage(&f)
	}
	return f
}

// measureUsage adds what processes and pgo itself use.
func (m *Manager) measureUsage(f *web.Snapshot) {
	rows := make([]control.Process, len(f.Processes))
	for i, p := range f.Processes {
		rows[i] = p.Process
	}
	used := m.meter.fill(rows)
	for i := range f.Processes {
		p := &f.Processes[i]
		p.Process, p.CPU, p.Files = rows[i], used[p.Process.PID], proc.CountOpenFiles(p.Process.PID)
	}
	for _, half := range []struct {
		name string
		pid  int
	}{{"keeper", f.Info.KeeperPID}, {"manager", f.Info.ManagerPID}} {
		if s, err := proc.ReadStat(half.pid); err == nil {
			f.Roles = append(f.Roles, web.RoleUsage{Name: half.name, CPU: s.CPU, Memory: s.Memory})
		}
	}
}

// describeHTTPChange returns what applying would do with pgo's own HTTP server; "" if nothing.
func describeHTTPChange(from, to processfile.HTTP) string {
	where := func(h processfile.HTTP) string {
		if h.Addr == "" {
			return "off"
		}
		return h.Addr
	}
	switch {
	case reflect.DeepEqual(from, to):
		return ""
	case from.Addr == to.Addr:
		return "the file has it otherwise"
	default:
		return fmt.Sprintf("%s, was %s", where(to), where(from))
	}
}
