package mail

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"pgo/services/user"
)

// ErrNotConfigured reports that mails are written to files in an environment where people wait for them.
var ErrNotConfigured = errors.New("no SMTP server is configured: set mail.smtp.addr")

// Counted delivers by another sender and counts what became of the mails. It implements user.MailSender.
type Counted struct {
	sender       user.MailSender
	isConfigured bool
	mails        *prometheus.CounterVec
}

// NewCounted returns a sender with metrics in reg. isConfigured says that sender reaches people, or that no one waits for mails.
func NewCounted(sender user.MailSender, isConfigured bool, reg prometheus.Registerer) *Counted {
	configured := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pgo_mail_configured", Help: "1 when mails leave by SMTP or this is a development environment, 0 when they are only written to files.",
	})
	if isConfigured {
		configured.Set(1)
	}
	mails := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pgo_mails_total", Help: "Attempts to deliver a mail by result: sent, failed (it is tried again) or refused (it is not).",
	}, []string{"result"})
	for _, result := range []string{"sent", "failed", "refused"} {
		mails.WithLabelValues(result)
	}
	reg.MustRegister(configured, mails)
	return &Counted{sender: sender, isConfigured: isConfigured, mails: mails}
}

// Deliver implements user.MailSender.
func (c *Counted) Deliver(ctx context.Context, m user.Mail) error {
	err := c.sender.Deliver(ctx, m)
	result := "sent"
	switch {
	case errors.Is(err, user.ErrMailRefused):
		result = "refused"
	case err != nil:
		result = "failed"
	}
	c.mails.WithLabelValues(result).Inc()
	return err
}

// Check is a check for package health: it returns ErrNotConfigured if no mail leaves.
func (c *Counted) Check(context.Context) error {
	if !c.isConfigured {
		return ErrNotConfigured
	}
	return nil
}
