package supervise

// ReleasePolicy decides what follows for releases from what happens to their processes. Its methods are called without
// any lock held.
type ReleasePolicy interface {
	// DeployedPrograms returns the program that runs for each deployed file that is watched, by the path of the file.
	DeployedPrograms() map[string]string
	// HandleExit is told how a process ended, or why it did not start. isFinal says that it is not started again. It
	// returns true if another release was chosen, which is started then.
	HandleExit(p *Process, ran Program, how string, isFinal bool) bool
	// HandleFault is told what is wrong with a process that runs. It returns true if its release will be replaced.
	HandleFault(p *Process, runs Program, why error) bool
}
