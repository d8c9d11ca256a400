package keeper

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// serveManager handles the messages of one manager until its link closes.
func (k *Keeper) serveManager(p *managerProcess) {
	for {
		m, fds, err := p.wire.receive()
		k.mu.Lock()
		switch {
		case err != nil:
			p.isDrained = true
			if p.status != nil {
				k.replaceManager(p)
			}
			p.sendSignal(unix.SIGKILL) // without its link it is of no use any more
			k.mu.Unlock()
			return
		case p.status != nil && m.Number != 0: // no one waits for the answer, so no one would know what was done
			closeDescriptors(fds)
		default:
			k.handleMessage(p, m, fds)
		}
		k.mu.Unlock()
	}
}

// handleMessage does what a message asks for, and answers it where it has a number. It owns fds. The lock is held.
func (k *Keeper) handleMessage(p *managerProcess, m message, fds []int) {
	answer := message{Op: opAnswer, Number: m.Number}
	if len(fds) < m.Descriptors {
		closeDescriptors(fds)
		answer.Text = errNotTaken.Error()
		k.notifyManager(answer)
		return
	}
	fail := func(err error) {
		if err != nil {
			answer.Text = err.Error()
		}
	}
	if m.Op == opHold {
		if err := k.checkHold(m.Key, len(fds)); err != nil {
			fail(err)
		} else {
			k.dropDescriptor(m.Key)
			k.held[m.Key] = fds[0]
			fds = nil
		}
	}
	defer func() { closeDescriptors(fds) }()
	switch m.Op {
	case opHold:
	case opReady:
		k.recordReady(p)
	case opAlive:
		k.recordAlive(p)
	case opFailed:
		p.endReason = m.Text
	case opDrop:
		for _, key := range m.Keys {
			k.dropDescriptor(key)
		}
	case opKeepData:
		if k.data[m.Key] = m.Data; len(m.Data) == 0 {
			delete(k.data, m.Key)
		}
	case opKeepChildData:
		if c := k.children[m.Key]; c != nil {
			c.State = m.Data
		}
	case opStartChild:
		c, err := k.startChild(m.ChildSpec, fds)
		answer.Child = c
		fail(err)
	case opSignalChild:
		fail(k.signalChild(m.Key, syscall.Signal(m.Signal)))
	case opForgetChild:
		delete(k.children, m.Key)
	case opUpgrade:
		k.candidate = m.Text
	case opEnd:
		k.reportEnd(nil)
	default:
		fail(fmt.Errorf("the keeper does not know %q", m.Op))
	}
	if m.Number != 0 {
		k.notifyManager(answer)
	}
}

// errNotTaken is the error of a message whose descriptors did not arrive: the kernel drops them over the limit.
var errNotTaken = fmt.Errorf("%w: the keeper could not take a descriptor", ErrNoDescriptors)

// checkHold returns an error if a descriptor did not arrive, or there is no room for another one. The lock is held.
func (k *Keeper) checkHold(key string, arrived int) error {
	if arrived != 1 {
		return errNotTaken
	}
	if _, ok := k.held[key]; ok {
		return nil // it takes the place of one
	}
	return CheckDescriptors("keeper", 0) // which has it already
}
