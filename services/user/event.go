package user

// Types of the events that this service publishes. They are also the routing keys on the exchange. The contract of the
// events is defined here, with the publisher: consumers decode into structs of their own.
const (
	EventCreated       = "user.created.v1"
	EventUpdated       = "user.updated.v1"
	EventDisabled      = "user.disabled.v1"
	EventDeleted       = "user.deleted.v1"
	EventMailRequested = "user.mail_requested.v1"
)

// Event records a change of a user. Its data is the state after the change and never contains a secret.
type Event struct {
	Type string
	Data any
}

// DeletedData is the data of user.deleted.v1. That of the created, updated and disabled events is User.
type DeletedData struct {
	ID string `json:"id"`
}

// MailRequestedData is the data of user.mail_requested.v1. The mailer generates the token when it sends the mail, so that
// no event ever contains one.
type MailRequestedData struct {
	UserID    string `json:"user_id"`
	Purpose   string `json:"purpose"`
	Reference string `json:"reference,omitempty"`
}

// Purposes of a mail.
const (
	PurposeVerify = "verify"
	PurposeReset  = "reset"
	// Security notices.
	PurposePasswordChanged = "password_changed"
	PurposeNewDevice       = "new_device"
)
