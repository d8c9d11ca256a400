package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"pgo/pkg/httpx"
	"pgo/pkg/problem"
)

// EndedSessionsPath is the path at which the issuer of tokens serves the list of ended sessions to the other services. It is
// not part of the API, and the gateway does not publish it.
const EndedSessionsPath = httpx.InternalPrefix + "ended-sessions"

const (
	endedTimeout = 2 * time.Second // for one answer beyond the time that the issuer waits, its body included
	// maxWait is how long the issuer waits for an ended session before it answers that there is none. It is well below staleAfter.
	maxWait      = 2500 * time.Millisecond
	maxEnded     = 32 << 20 // bytes; about 800,000 sessions
	maxSessionID = 64
	maxPosition  = 64
)

// endedList is the answer of EndedSessionsPath to ?since=, a time in RFC 3339, and &after=, the position of an earlier answer.
type endedList struct {
	Now      time.Time `json:"now"` // by the clock that gave the sessions their times
	IDs      []string  `json:"ids"`
	Position string    `json:"position,omitempty"` // for the next request; "" if the issuer does not wait
}

// ServeEndedSessions serves list at EndedSessionsPath. A request with the position of an earlier answer waits until a session
// ends, at most for 2.5 seconds. One without a position, or with that of another process, is answered at once, with the sessions
// that ended since the given time.
func ServeEndedSessions(list *RevocationList) httpx.Handler {
	return func(c *gin.Context) error {
		q, err := httpx.ReadQuery(c, "since", "after")
		if err != nil {
			return err
		}
		since, err := time.Parse(time.RFC3339Nano, q.Get("since"))
		if err != nil {
			return problem.Invalid(problem.Field{Field: "since", Code: "invalid", Message: "must be a time in RFC 3339"})
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), maxWait)
		defer cancel()
		var answer endedList
		answer.IDs, answer.Now, answer.Position, err = list.Changes(ctx, q.Get("after"))
		if err != nil {
			// The position comes first: what becomes known during the reading is then returned twice, not never.
			answer.Position = list.Position()
			answer.IDs, answer.Now, err = list.source.EndedSince(c.Request.Context(), since)
		}
		if err != nil {
			return err
		}
		if answer.IDs == nil {
			answer.IDs = []string{}
		}
		answer.Now = answer.Now.UTC()
		c.JSON(http.StatusOK, answer)
		return nil
	}
}

// NewRemoteSource returns the source of a service that ends no sessions itself: the list that ServeEndedSessions serves at
// url. An answer that is not such a list is an error, so that an unrelated answer is never read as "no session was ended".
// From its second reading on, a reading waits until a session ends, or for some seconds. It is for one reader.
func NewRemoteSource(url string, client *http.Client) RevocationSource {
	return &remoteSessions{url: url, client: client}
}

type remoteSessions struct {
	url      string
	client   *http.Client
	position string // of the last answer; "" if the issuer is not to wait
}

// EndedSince implements RevocationSource.
func (r *remoteSessions) EndedSince(ctx context.Context, t time.Time) ([]string, time.Time, error) {
	timeout := endedTimeout
	if r.position != "" {
		timeout += maxWait
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	list, err := r.fetchList(ctx, t)
	// After a failure the next reading does not wait: its answer shows at once whether the issuer is there again, and an issuer of
	// a release without positions refuses them.
	r.position = list.Position
	if err != nil {
		r.position = ""
		return nil, time.Time{}, fmt.Errorf("read ended sessions at %s: %w", r.url, err)
	}
	return list.IDs, list.Now, nil
}

func (r *remoteSessions) fetchList(ctx context.Context, since time.Time) (list endedList, err error) {
	query := url.Values{"since": {since.UTC().Format(time.RFC3339Nano)}}
	if r.position != "" {
		query.Set("after", r.position)
	}
	body, err := fetchBody(ctx, r.client, r.url+"?"+query.Encode(), maxEnded)
	if err != nil {
		return list, err
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return endedList{}, errors.New("the answer is not a list of sessions") // the parser's error would quote it
	}
	return list, list.checkContent()
}

func (l endedList) checkContent() error {
	if l.Now.IsZero() || l.IDs == nil {
		return errors.New("the answer lacks now or ids")
	}
	if len(l.Position) > maxPosition {
		return errors.New("the answer has an invalid position")
	}
	for _, id := range l.IDs {
		if id == "" || len(id) > maxSessionID {
			return errors.New("the answer has an invalid id")
		}
	}
	return nil
}
