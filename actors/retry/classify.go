package retry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Class is what a failed attempt says about the next one.
type Class uint8

const (
	// Transient is everything that may heal by itself: the server is down, unreachable, silent, or failing over.
	Transient Class = iota
	// Wait means that the server is there and asks for patience: it starts up or shuts down (57P03), or all its
	// connections are taken (53300). It counts as no failure of ours.
	Wait
	// Refused means that the server will say the same again until somebody changes something: wrong password, no such
	// database, no permission, no TLS where TLS is required, a certificate that does not verify.
	Refused
	// Unsupported means that the server does not take one of the start-up parameters that are optional. The attempt is
	// repeated without it.
	Unsupported
)

// String gives the class in a word.
func (c Class) String() string {
	switch c {
	case Wait:
		return "deferred"
	case Refused:
		return "refused"
	case Unsupported:
		return "unsupported"
	default:
		return "unreachable"
	}
}

// SQLSTATE codes that a start-up is refused with, as far as they are told apart here.
const (
	codeInvalidAuthorization = "28000" // no pg_hba.conf entry: may depend on the TLS mode
	codeInvalidPassword      = "28P01"
	codeUnknownDatabase      = "3D000"
	codeNoPrivilege          = "42501"
	codeNotSupported         = "0A000"
	codeUnknownParameter     = "42704"
	codeInvalidParameter     = "22023"
	codeProtocolViolation    = "08P01" // PgBouncer's answer to a parameter that it does not know
	codeCannotConnectNow     = "57P03"
	codeTooManyConnections   = "53300"
)

// Classify tells what an error of a start-up means for the next attempt. Errors that this package hands out keep the
// class they were made with.
func Classify(err error) Class {
	var known *failure
	if errors.As(err, &known) {
		return known.class
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return classifyAnswer(server)
	}
	if refusesTLS(err) || badCertificate(err) {
		return Refused
	}
	return Transient
}

func classifyAnswer(e *pgconn.PgError) Class {
	switch e.Code {
	case codeCannotConnectNow, codeTooManyConnections:
		return Wait
	case codeUnknownDatabase, codeNoPrivilege, codeNotSupported:
		return Refused
	case codeUnknownParameter, codeInvalidParameter:
		if optionalParameter(e) != "" {
			return Unsupported
		}
		return Refused
	case codeProtocolViolation:
		if optionalParameter(e) != "" {
			return Unsupported
		}
		return Transient
	}
	if strings.HasPrefix(e.Code, "28") {
		return Refused
	}
	return Transient
}

// optionalParameters are the start-up parameters that a connection can do without. Older servers, servers on other
// platforms and poolers do not take all of them.
var optionalParameters = []string{
	"client_connection_check_interval",
	"tcp_keepalives_idle",
	"tcp_keepalives_interval",
	"tcp_keepalives_count",
}

// optionalParameter is the optional parameter that the server's answer names, in whatever language; empty if none.
func optionalParameter(e *pgconn.PgError) string {
	for _, name := range optionalParameters {
		if strings.Contains(e.Message, name) {
			return name
		}
	}
	return ""
}

// refusesTLS tells whether the server answered that it has no TLS. pgx has no type for it.
func refusesTLS(err error) bool {
	return err != nil && strings.Contains(err.Error(), "server refused TLS connection")
}

// badCertificate tells whether the server's certificate did not verify.
func badCertificate(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		constraint   x509.ConstraintViolationError
		extension    x509.UnhandledCriticalExtension
		roots        x509.SystemRootsError
		algorithm    x509.InsecureAlgorithmError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) || errors.As(err, &constraint) || errors.As(err, &extension) ||
		errors.As(err, &roots) || errors.As(err, &algorithm)
}
