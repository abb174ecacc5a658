package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// mendCertificate tells the operator how to fix a certificate error.
const mendCertificate = ": put the right one in its place; the next connection reads the files again"

// certificateFault describes the certificate error if it is the reason that no host of the address could be connected
// to, and returns "" otherwise: if one host has a certificate error and another is down, the one that is down may be
// the primary. The text names neither hosts nor users.
func certificateFault(err error) string {
	failed, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return ""
	}
	hosts := []error{failed.Unwrap()}
	if several, ok := hosts[0].(interface{ Unwrap() []error }); ok {
		hosts = several.Unwrap()
	}
	first := ""
	for _, host := range hosts {
		fault := verifyFault(host)
		if fault == "" {
			fault = alertFault(host)
		}
		if ends := clientEnds(failed.Config.TLSConfig); fault == "" && cutOff(host) && !ends.IsZero() &&
			time.Now().After(ends) {
			fault = "the client certificate of the database address ended on " + ends.UTC().Format(time.DateTime)
		}
		if fault == "" {
			return ""
		}
		if first == "" {
			first = fault
		}
	}
	return first + mendCertificate
}

// verifyFault describes why a server's certificate does not verify, or returns "" for another error.
func verifyFault(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the database's certificate is not of an authority in sslrootcert"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the database's certificate is for another host name"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired &&
		invalid.Cert != nil {
		if ends := invalid.Cert.NotAfter; time.Now().After(ends) {
			return "the database's certificate ended on " + ends.UTC().Format(time.DateTime)
		}
		return "the database's certificate holds only from " + invalid.Cert.NotBefore.UTC().Format(time.DateTime) +
			" on"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the database's certificate does not verify"
	}
	return ""
}

// TLS alerts with which a server rejects a client's certificate (RFC 8446).
const (
	alertBadCertificate = 42
	alertRevoked        = 44
	alertExpired        = 45
	alertUnknown        = 46
	alertUnknownCA      = 48
	alertRequired       = 116
)

// alertFault describes why a server rejects the client's certificate, or returns "" if it does not.
func alertFault(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Err == nil {
		return ""
	}
	// crypto/tls does not export the type of an alert; its value is the alert's number.
	alert := reflect.ValueOf(op.Err)
	if alert.Kind() != reflect.Uint8 || !strings.HasPrefix(alert.Type().PkgPath(), "crypto/tls") {
		return ""
	}
	switch n := alert.Uint(); {
	case n == alertExpired:
		return "the database refuses the client certificate of its address, which has expired"
	case n == alertUnknownCA:
		return "the database does not know the authority of the client certificate of its address"
	case n == alertRevoked:
		return "the database refuses the client certificate of its address, which was revoked"
	case n == alertRequired:
		return "the database wants a client certificate, and its address names none"
	case n >= alertBadCertificate && n <= alertUnknown:
		return "the database refuses the client certificate of its address"
	}
	return ""
}

// cutOff reports whether the server closed the connection during the handshake: its alert may have been lost.
func cutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}
