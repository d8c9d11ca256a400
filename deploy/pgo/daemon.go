package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/home"
	"pgo/deploy/pgo/manager"
)

// answerFD is where a manager in the background says how its start went: one line, "ok" or what is wrong.
const answerFD = 3

const answerOK = "ok"

// manager is the command that pgo up runs in the background.
func (a *app) manager() *cobra.Command {
	return &cobra.Command{
		Use:    "manager",
		Hidden: true,
		Args:   noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := a.home()
			if err != nil {
				return err
			}
			var answer unix.Stat_t
			if err := unix.Fstat(answerFD, &answer); err != nil || answer.Mode&unix.S_IFMT != unix.S_IFIFO {
				return usageError{errors.New("pgo up starts the manager; to stay in front, use pgo up --foreground")}
			}
			syscall.CloseOnExec(answerFD)
			starter := os.NewFile(answerFD, "starter")
			err = manager.Run(c.Context(), manager.Options{
				Home:    h,
				Version: version,
				Environ: os.Environ(),
				Getenv:  a.getenv,
				Log:     eventLog(a.stdout),
				Started: func() error {
					_, err := io.WriteString(starter, answerOK)
					return errors.Join(err, starter.Close())
				},
			})
			if err != nil {
				_, _ = io.WriteString(starter, err.Error()) // closed already where the start went well
			}
			return err
		},
	}
}

// spawnManager starts a manager that outlives this command. The error is home.ErrLocked while another has the home.
func spawnManager(h home.Home) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start the manager: %w", err)
	}
	log, err := os.OpenFile(h.Log("pgo"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("start the manager: %w", err)
	}
	defer log.Close()
	answer, answerer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the manager: %w", err)
	}
	defer answer.Close()
	// What this command inherited, as make's job pipes or a lock of a script, is not for a process that stays.
	if err := unix.CloseRange(answerFD, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) {
		answerer.Close()
		return fmt.Errorf("start the manager: %w", err)
	}
	cmd := exec.Command(self, "manager", "--home", string(h))
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{answerer}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	answerer.Close()
	if err != nil {
		return fmt.Errorf("start the manager: %w", err)
	}
	said, err := io.ReadAll(answer)
	switch {
	case err == nil && string(said) == answerOK:
		return cmd.Process.Release()
	case string(said) == home.ErrLocked.Error():
		return home.ErrLocked
	case len(said) > 0:
		return fmt.Errorf("start the manager: %s", said)
	default:
		return fmt.Errorf("start the manager: it ended without a word; %s may say why", h.Log("pgo"))
	}
}

// eventLog writes JSON lines in the form of pgo's services.
func eventLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				a.Key = "ts"
			}
			return a
		},
	}))
}
