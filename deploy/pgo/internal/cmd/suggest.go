package cmd

import (
	"slices"

	"github.com/spf13/cobra"
)

// pm2Commands has what pgo has in place of commands that people know from PM2: docs/from-pm2.md explains each.
var pm2Commands = map[string]string{
	"jlist": "pgo list --json", "prettylist": "pgo list --json", "l": "pgo list", "show": "pgo describe NAME", "desc": "pgo describe NAME",
	"id": "pgo list NAME", "pid": "pgo list NAME", "env": "pgo describe NAME", "log": "pgo logs NAME", "kill": "pgo down",
	"del": "pgo delete NAME", "sendSignal": "pgo signal SIGNAL NAME", "update": "pgo upgrade", "reloadLogs": "kill -USR1 of the keeper, whose pid is in pgo info",
	"startOrRestart": "pgo apply", "startOrReload": "pgo apply", "startOrGracefulReload": "pgo apply", "gracefulReload": "pgo reload NAME",
	"save": "nothing: configs/pgo.yaml lists what runs", "dump": "nothing: configs/pgo.yaml lists what runs", "resurrect": "pgo up",
	"startup": "pgo export systemd", "unstartup": "pgo export systemd", "ping": "pgo info", "report": "pgo info and pgo events",
	"reset": "pgo restart NAME", "monit": "pgo list and pgo logs -f all", "dash": "pgo list and pgo logs -f all", "imonit": "pgo list and pgo logs -f all",
	"serve": "the gateway: pgo serves no files", "install": "nothing: rotation of logs and metrics are built in",
	"ecosystem": "pgo init, or pgo import ecosystem.config.js", "pull": "pgo deploy --to HOST", "forward": "pgo deploy --to HOST", "backward": "pgo rollback",
	"attach": "nothing: a process reads no terminal", "trigger": "pgo signal SIGNAL NAME",
}

// rejectUnknownCommand returns the usage error for a word that is not a subcommand of c, with the word that is probably meant.
func rejectUnknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	word := args[0]
	if instead, ok := pm2Commands[word]; ok && !c.HasParent() {
		return usageErrorf("%q is a command of PM2; in pgo it is %s", word, instead)
	}
	if meant := c.SuggestionsFor(word); len(meant) > 0 {
		best := meant[max(0, slices.IndexFunc(meant, func(name string) bool { return name[0] == word[0] }))] // typos are rare in first letters
		return usageErrorf("unknown command %q: did you mean %s %s?", word, c.CommandPath(), best)
	}
	return usageErrorf("unknown command %q: %s --help lists them", word, c.CommandPath())
}
