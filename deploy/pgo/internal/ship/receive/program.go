package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"pgo/deploy/pgo/internal/release"
	"pgo/deploy/pgo/internal/ship/delta"
	"pgo/deploy/pgo/internal/ship/wire"
)

// receiveProgram receives one program into the store, and proves it there. The memory that it needs does not grow with the
// program.
func (s *session) receiveProgram(ctx context.Context, f wire.Program) error {
	sent := s.conn.FileReader()
	r, err := s.storeProgram(ctx, f, sent)
	if err == nil {
		return s.conn.Send(wire.Report{Process: f.Process, Step: "stored", Text: r.Record.Verification.SHA256})
	}
	// The rest is on its way: it goes nowhere, and then the reason can be told.
	_, lost := io.Copy(io.Discard, sent)
	return errors.Join(fmt.Errorf("%s: %w", f.Process, err), lost)
}

func (s *session) storeProgram(ctx context.Context, f wire.Program, sent io.Reader) (release.Release, error) {
	store := &release.Store{Dir: s.Options.Home.ReleaseDir()}
	var base io.ReaderAt = emptyFile{}
	var size int64
	if f.Base != "" {
		if !sumForm.MatchString(f.Base) {
			return release.Release{}, fmt.Errorf("%w: it names the release %q", wire.ErrProtocol, f.Base)
		}
		old, err := os.Open(filepath.Join(store.Dir, f.Process, f.Base))
		if err != nil {
			return release.Release{}, fmt.Errorf("read the release that it is the difference to: %w", err)
		}
		defer old.Close()
		info, err := old.Stat()
		if err != nil {
			return release.Release{}, fmt.Errorf("read the release that it is the difference to: %w", err)
		}
		base, size = old, info.Size()
	}
	whole, made := io.Pipe()
	decoded := make(chan struct{})
	go func() {
		defer close(decoded)
		made.CloseWithError(delta.Decode(made, sent, base, size, f.Size))
	}()
	r, err := store.Receive(ctx, f.Process, f.Process, f.SHA256, whole)
	whole.CloseWithError(errNotWanted) // on a full disk the rest is not made
	<-decoded
	return r, err
}

var errNotWanted = errors.New("it is not wanted any more")

type emptyFile struct{}

func (emptyFile) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
