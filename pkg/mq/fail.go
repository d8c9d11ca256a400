package mq

import (
	"context"
	"errors"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// handOnFailed moves a delivery whose handling failed to the next retry queue, or to the dead letters if it has used up its
// attempts or the error is permanent. It acknowledges the delivery only after the broker has confirmed the copy, and retries
// until then; if it must stop, the delivery stays unacknowledged and comes again.
func (c *Conn) handOnFailed(ctx context.Context, ch *amqp.Channel, k Consumer, d amqp.Delivery, cause error, log *zap.Logger) {
	attempt := countAttempts(d) + 1
	log = log.With(zap.Int("attempt", attempt), zap.Error(cause))
	var p panicError
	if errors.As(cause, &p) {
		log = log.With(zap.ByteString("stack", p.stack))
	}

	copied := Publishing{
		Exchange: DeadExchange, RoutingKey: k.Queue, Mandatory: true,
		MessageID: d.MessageId, ContentType: d.ContentType, Body: d.Body,
		Headers: failureHeaders(d, k.Queue, attempt, cause, time.Now().UTC()),
	}
	result := resultDead
	if attempt <= len(c.cfg.RetryDelays) && !IsPermanent(cause) {
		result = resultRetried
		delay := c.cfg.RetryDelays[attempt-1]
		copied.Exchange = retryName(delay)
		log.Warn("an event could not be handled, it will be retried", zap.Duration("after", delay))
	} else {
		log.Error("an event could not be handled and goes to the dead letters")
	}

	for pause := c.cfg.newBackoff(); ; {
		err := c.Publish(ctx, []Publishing{copied})[0]
		if err == nil {
			acknowledge(d, log)
			c.metrics.deliveries.WithLabelValues(k.Queue, result).Inc()
			return
		}
		log.Warn("could not hand on an event that failed", zap.String("to", copied.Exchange), zap.NamedError("publish_error", err))
		if sleep(ctx, pause.NextBackOff()) != nil || ch.IsClosed() {
			return
		}
	}
}

// countAttempts returns how many times handling the message has failed before. An invalid header counts as none.
func countAttempts(d amqp.Delivery) int {
	switch n := d.Headers[HeaderAttempt].(type) {
	case int64:
		return clampAttempts(n)
	case int32:
		return clampAttempts(int64(n))
	default:
		return 0
	}
}

func clampAttempts(n int64) int { return int(min(max(n, 0), 1_000_000)) }

// failureHeaders returns the history of a message's failures and its trace context. It leaves out other headers: an event's
// content is in its body, the broker writes its own records (x-death) again, and a header of an unknown sender must not make
// the copy unpublishable.
func failureHeaders(d amqp.Delivery, queue string, attempt int, cause error, now time.Time) map[string]any {
	h := map[string]any{
		HeaderFirstFailed: now.Format(time.RFC3339Nano),
		HeaderExchange:    d.Exchange,
		HeaderRoutingKey:  d.RoutingKey,
	}
	for _, name := range []string{HeaderFirstFailed, HeaderExchange, HeaderRoutingKey, traceHeader} {
		if s, ok := d.Headers[name].(string); ok {
			h[name] = truncate(s, 255)
		}
	}
	h[HeaderLastFailed] = now.Format(time.RFC3339Nano)
	h[HeaderAttempt] = int64(attempt)
	h[HeaderQueue] = queue
	h[HeaderReason] = truncate(cause.Error(), 1000)
	return h
}

// truncate cuts s to at most n bytes of valid UTF-8.
func truncate(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
