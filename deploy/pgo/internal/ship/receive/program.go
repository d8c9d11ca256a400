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

// receiveProgram receives one program into the store, which verifies it. The memory that it needs does not grow with the
// program. After an error it reads the rest of the file, so that the client can be sent the reason.
func (s *session) receiveProgram(ctx context.Context, f wire.Program) error {
	content := s.conn.FileReader()
	store := &release.Store{Dir: s.Options.Home.ReleaseDir()}
	r, err := storeProgram(ctx, store, f, content)
	if err == nil {
		return s.conn.Send(wire.Report{Process: f.Process, Step: "stored", Text: r.Record.Verification.SHA256})
	}
	_, lost := io.Copy(io.Discard, content)
	return errors.Join(fmt.Errorf("%s: %w", f.Process, err), lost)
}

// storeProgram decodes the sent content of a program into the store. Its base has to be a release of the same process.
func storeProgram(ctx context.Context, store *release.Store, f wire.Program, content io.Reader) (release.Release, error) {
	var base io.ReaderAt = emptyFile{}
	var size int64
	if f.Base != "" {
		if !isSum(f.Base) {
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
	decoded, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(delta.Decode(w, content, base, size, f.Size))
	}()
	r, err := store.Receive(ctx, f.Process, f.Process, f.SHA256, decoded)
	decoded.CloseWithError(errNotWanted) // after an error, as on a full disk, the rest is not decoded
	<-done
	return r, err
}

var errNotWanted = errors.New("the rest of the program is not needed")

// emptyFile is the base of a program that is sent whole.
type emptyFile struct{}

func (emptyFile) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
