package backend

import (
	"crypto/tls"
	"crypto/x509"
	"runtime/debug"
)

// contain makes the callbacks of a TLS configuration, which may be nil, fail where they would panic. pgx shakes hands once
// more for a cancel request, which it sends by itself when it closes a connection that broke: in a goroutine of its own,
// where a panic would end the process.
func contain(c *tls.Config) {
	if c == nil {
		return
	}
	if verify := c.VerifyPeerCertificate; verify != nil {
		c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) (err error) {
			defer panicked(&err)
			return verify(raw, chains)
		}
	}
	if verify := c.VerifyConnection; verify != nil {
		c.VerifyConnection = func(state tls.ConnectionState) (err error) {
			defer panicked(&err)
			return verify(state)
		}
	}
	if get := c.GetClientCertificate; get != nil {
		c.GetClientCertificate = func(info *tls.CertificateRequestInfo) (cert *tls.Certificate, err error) {
			defer panicked(&err)
			return get(info)
		}
	}
}

// panicked makes an error of a panic.
func panicked(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}
