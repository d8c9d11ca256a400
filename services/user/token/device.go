package token

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// DeviceLifetime is how long a device stays known without a sign-in.
const DeviceLifetime = 180 * 24 * time.Hour

// deviceClaims are the claims of a device token. Its audience differs from that of an access token.
type deviceClaims struct {
	jwt.RegisteredClaims
	Password string `json:"pwd"` // a fingerprint of the password's hash, so that a change of the password ends the token
}

func (i *Issuer) deviceAudience() string { return i.Audience + "/device" }

func fingerprint(passwordHash string) string {
	h := sha256.Sum256([]byte(passwordHash))
	return base64.RawURLEncoding.EncodeToString(h[:12])
}

// SignDevice implements user.DeviceTokens.
func (i *Issuer) SignDevice(userID, deviceID, passwordHash string) (string, error) {
	now := i.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, deviceClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: i.Issuer, Audience: jwt.ClaimStrings{i.deviceAudience()}, Subject: userID, ID: deviceID,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(DeviceLifetime)),
		},
		Password: fingerprint(passwordHash),
	})
	t.Header["kid"] = i.Keys.kid
	return t.SignedString(i.Keys.signing)
}

// VerifyDevice implements user.DeviceTokens.
func (i *Issuer) VerifyDevice(token, userID, passwordHash string) (deviceID string, ok bool) {
	if token == "" {
		return "", false
	}
	var c deviceClaims
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithIssuer(i.Issuer), jwt.WithAudience(i.deviceAudience()),
		jwt.WithExpirationRequired(), jwt.WithSubject(userID), jwt.WithTimeFunc(i.Now), jwt.WithStrictDecoding()).
		ParseWithClaims(token, &c, i.findKey)
	if err != nil || c.ID == "" || c.Password != fingerprint(passwordHash) {
		return "", false
	}
	return c.ID, true
}

var errUnknownKey = errors.New("unknown key")

func (i *Issuer) findKey(t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	if k, ok := i.Keys.public[kid]; ok {
		return k, nil
	}
	return ed25519.PublicKey(nil), errUnknownKey
}
