package processfile

import (
	"time"

	"github.com/netresearch/go-cron"
)

// NextRun returns the first time after now at which a schedule is due. It returns the zero time for a schedule that is invalid or
// never due, which no process file has.
func NextRun(schedule string, now time.Time) time.Time {
	// Standard cron, also with seconds in front of the minutes. Times are local, unless CRON_TZ=Europe/Berlin begins the schedule.
	parser := cron.MustNewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	parsed, err := parser.Parse(schedule)
	if err != nil {
		return time.Time{}
	}
	return parsed.Next(now)
}

func parseSchedule(s string) (any, bool) { return s, !NextRun(s, time.Now()).IsZero() }
