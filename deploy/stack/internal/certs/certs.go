// Package certs makes the gateway's certificate for development, signed by an authority of this checkout alone.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"
)

// Names of the files in a directory of certificates.
const (
	Authority   = "ca.crt" // the authority that a browser has to trust
	Certificate = "gateway.crt"
	Key         = "gateway.key"

	authorityKey = "ca.key"
)

const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 397 * 24 * time.Hour // browsers accept no longer ones
	renewBefore     = 30 * 24 * time.Hour
)

// DefaultHosts returns the host names of a developer's gateway.
func DefaultHosts() []string { return []string{"localhost", "127.0.0.1", "::1", "gateway"} }

// Ensure creates a certificate for hosts, and the authority if there is none, unless dir has a certificate that is valid for
// hosts and does not expire soon. It never replaces a certificate of another authority. created reports whether the gateway has
// to reload.
func Ensure(dir string, hosts []string, now time.Time) (created bool, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "acme"), 0o755); err != nil {
		return false, fmt.Errorf("create the directory of certificates: %w", err)
	}
	ca, caKey, err := ensureAuthority(dir, now)
	if err != nil {
		return false, err
	}
	switch old, err := readCertificate(filepath.Join(dir, Certificate)); {
	case err == nil && old.CheckSignatureFrom(ca) != nil && old.Issuer.String() != ca.Subject.String():
		return false, nil // another authority's: certbot's, or the company's
	case err == nil && isValid(old, ca, hosts, now):
		return false, nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return false, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, fmt.Errorf("create the gateway's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0], Organization: []string{"pgo development"}},
		NotBefore:   now.Add(-time.Hour),
		NotAfter:    now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return true, signCertificate(dir, Certificate, Key, template, ca, caKey, key)
}

func isValid(c, ca *x509.Certificate, hosts []string, now time.Time) bool {
	if c.CheckSignatureFrom(ca) != nil || now.After(c.NotAfter.Add(-renewBefore)) {
		return false
	}
	return !slices.ContainsFunc(hosts, func(host string) bool { return c.VerifyHostname(host) != nil })
}

func ensureAuthority(dir string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	cert, err := readCertificate(filepath.Join(dir, Authority))
	if err == nil && now.Before(cert.NotAfter.Add(-certificateLife)) {
		key, err := readKey(filepath.Join(dir, authorityKey))
		if err != nil {
			return nil, nil, fmt.Errorf("read the authority's key: %w", err)
		}
		return cert, key, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("create the authority's key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "pgo development authority", Organization: []string{"pgo development"}},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	if err := signCertificate(dir, Authority, authorityKey, template, template, key, key); err != nil {
		return nil, nil, err
	}
	cert, err = readCertificate(filepath.Join(dir, Authority))
	return cert, key, err
}

// signCertificate writes the key before the certificate, so that an existing certificate has its key.
func signCertificate(dir, name, keyName string, template, parent *x509.Certificate, signer, key *ecdsa.PrivateKey) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return fmt.Errorf("create a serial number: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return fmt.Errorf("sign %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write %s: %w", keyName, err)
	}
	if err := writePEM(filepath.Join(dir, keyName), "PRIVATE KEY", keyDER, 0o600); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, name), "CERTIFICATE", der, 0o644)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	if err := renameio.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode, renameio.IgnoreUmask()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return cert, nil
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an ECDSA key", path)
	}
	return own, nil
}

func readPEM(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", path)
	}
	return block.Bytes, nil
}
