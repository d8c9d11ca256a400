package checkout

// SMTPPassword is the name of the secret with the password of User's SMTP server. Only an operator makes it.
const SMTPPassword = "user_smtp_password"

const smtpPasswordFile = "PGO_SMTP_PASSWORD_FILE"

// MailVariables returns the variables that set User's SMTP server. They go into the environment of the stack as they are.
func MailVariables() []string {
	return []string{"PGO_MAIL_FROM", "PGO_SMTP_ADDR", "PGO_SMTP_TLS", "PGO_SMTP_USERNAME", smtpPasswordFile, "PGO_SMTP_CA_FILE"}
}

// SetSMTPPasswordFile sets the variable that names the file with the password, unless it is set or there is no such secret.
// secretPath returns the path at which User finds the secret.
func (co Checkout) SetSMTPPasswordFile(values map[string]string, secretPath func(name string) string) {
	if values[smtpPasswordFile] == "" && IsFile(co.Path("secrets", SMTPPassword)) {
		values[smtpPasswordFile] = secretPath(SMTPPassword)
	}
}
