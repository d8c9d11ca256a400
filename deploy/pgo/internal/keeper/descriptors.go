package keeper

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"pgo/deploy/pgo/internal/proc"
)

// DescriptorReserve is how many descriptors the keeper and the manager each keep free, for commands, probes, looks into /proc and
// the start of the next manager. Nothing that stays open may use them.
const DescriptorReserve = 16

// ErrNoDescriptors is wrapped by the error of whatever would use the reserve.
var ErrNoDescriptors = errors.New("too many open files")

// CheckDescriptors returns an error if this process, the keeper or the manager, may not open so many more descriptors.
func CheckDescriptors(role string, more int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	open := proc.CountOpenFiles(os.Getpid())
	if open < 0 || uint64(open+more+DescriptorReserve) <= limit.Cur {
		return nil
	}
	return fmt.Errorf("%w: pgo's %s has %d of %d open, and keeps %d free for commands: raise the limit it is started with (ulimit -n, LimitNOFILE= of its unit)",
		ErrNoDescriptors, role, open, limit.Cur, DescriptorReserve)
}
