package checkout

import (
	"fmt"
	"os"
	"syscall"
)

// LockHome waits until no other up, down or clean runs for this home. The lock is held until unlock is called or the process
// exits.
func (co Checkout) LockHome() (unlock func(), err error) {
	f, err := os.OpenFile(co.Path("stack.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the home's lock: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != syscall.EINTR {
			f.Close()
			return nil, fmt.Errorf("lock the home: %w", err)
		}
	}
}
