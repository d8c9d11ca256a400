package keeper

import (
	"os"
	"os/signal"
	"syscall"
)

var requestsBySignal = map[os.Signal]Request{syscall.SIGHUP: RequestApply, syscall.SIGUSR1: RequestReopen, syscall.SIGUSR2: RequestUpgrade}

// notifyRequests delivers the signals that are requests, and those that would end a Go program and mean nothing here.
func notifyRequests(signals chan<- os.Signal) {
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGTRAP, syscall.SIGSYS)
}

// forwardRequest asks the manager for what a signal means; one without a meaning does nothing. A manager that is just being
// restarted does not get it: the signal can be sent again.
func (k *Keeper) forwardRequest(s os.Signal) {
	request, ok := requestsBySignal[s]
	k.Options.Log.Info("signal", "signal", s.String(), "request", request)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.notifyManager(message{Op: opRequest, Text: string(request)})
}
