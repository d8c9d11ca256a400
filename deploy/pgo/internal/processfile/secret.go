package processfile

import (
	"regexp"
	"strings"
)

var (
	credentials  = regexp.MustCompile(`://[^/]*@`) // in a URL
	secretName   = regexp.MustCompile(`(?i)PASSW|(^|_)PASS($|_)|_PWD$|SECRET|TOKEN|CREDENTIAL|PRIVATE|COOKIE|SALT|WEBHOOK|APIKEY|(^|_)KEY($|_)|(^|_)(DSN|AUTH|PAT)$`)
	harmlessName = regexp.MustCompile(`_(FILE|ADDR|PORT|HTTP|DIR|HOME|PATH|API)$`)
)

// masked stands for a value that may be a secret.
const masked = "***"

// minSecret is the length from which a secret is looked for inside of other values.
const minSecret = 6

// IsHarmlessName reports whether a variable of that name has an address, or the place of a secret, and so no secret.
func IsHarmlessName(name string) bool { return harmlessName.MatchString(name) }

// MayBeSecret reports whether a variable may hold a secret: by its name, by a name and password in a URL, or as a key in PEM.
func MayBeSecret(name, value string) bool {
	return !IsHarmlessName(name) &&
		(secretName.MatchString(name) || credentials.MatchString(value) || strings.Contains(value, "-----BEGIN "))
}

// MaskSecrets returns a copy of an environment without the values that may be secrets, and those that such a value is a part of.
func MaskSecrets(env map[string]string) map[string]string {
	var secrets []string
	for name, value := range env {
		if MayBeSecret(name, value) && len(value) >= minSecret {
			secrets = append(secrets, value)
		}
	}
	shown := map[string]string{}
	for name, value := range env {
		shown[name] = value
		if MayBeSecret(name, value) && value != "" {
			shown[name] = masked
		}
		for _, secret := range secrets {
			if strings.Contains(value, secret) {
				shown[name] = masked
			}
		}
	}
	return shown
}
