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
	endedTimeout = 2 * time.Second // for one reading, its body included
	maxEnded     = 32 << 20        // bytes; about 800,000 sessions
	maxSessionID = 64
)

// endedList is the answer of EndedSessionsPath to ?since=, a time in RFC 3339.
type endedList struct {
	Now time.Time `json:"now"` // by the clock that gave the sessions their times
	IDs []string  `json:"ids"`
}

// ServeEndedSessions serves source at EndedSessionsPath.
func ServeEndedSessions(source RevocationSource) httpx.Handler {
	return func(c *gin.Context) error {
		q, err := httpx.ReadQuery(c, "since")
		if err != nil {
			return err
		}
		since, err := time.Parse(time.RFC3339Nano, q.Get("since"))
		if err != nil {
			return problem.Invalid(problem.Field{Field: "since", Code: "invalid", Message: "must be a time in RFC 3339"})
		}
		ids, now, err := source.EndedSince(c.Request.Context(), since)
		if err != nil {
			return err
		}
		if ids == nil {
			ids = []string{}
		}
		c.JSON(http.StatusOK, endedList{Now: now.UTC(), IDs: ids})
		return nil
	}
}

// NewRemoteSource returns the source of a service that ends no sessions itself: the list that ServeEndedSessions serves at
// url. An answer that is not such a list is an error, so that an unrelated answer is never read as "no session was ended".
func NewRemoteSource(url string, client *http.Client) RevocationSource {
	return &remoteSessions{url, client}
}

type remoteSessions struct {
	url    string
	client *http.Client
}

// EndedSince implements RevocationSource.
func (r *remoteSessions) EndedSince(ctx context.Context, t time.Time) ([]string, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, endedTimeout)
	defer cancel()
	list, err := r.fetchList(ctx, t)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read ended sessions at %s: %w", r.url, err)
	}
	return list.IDs, list.Now, nil
}

func (r *remoteSessions) fetchList(ctx context.Context, since time.Time) (list endedList, err error) {
	query := url.Values{"since": {since.UTC().Format(time.RFC3339Nano)}}
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
	for _, id := range l.IDs {
		if id == "" || len(id) > maxSessionID {
			return errors.New("the answer has an invalid id")
		}
	}
	return nil
}
