package retry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestClassify(t *testing.T) {
	answer := func(code, message string) error {
		return fmt.Errorf("192.0.2.1:5432 (db.test): server error: %w", &pgconn.PgError{Code: code, Message: message})
	}
	for _, c := range []struct {
		name string
		err  error
		want Class
	}{
		{"end of file", io.ErrUnexpectedEOF, Transient},
		{"57P03", answer("57P03", "the database system is starting up"), Wait},
		{"53300", answer("53300", "sorry, too many clients already"), Wait},
		{"57P01", answer("57P01", "terminating connection"), Transient},
		{"28P01", answer("28P01", "password authentication failed"), Refused},
		{"28000", answer("28000", "no pg_hba.conf entry"), Refused},
		{"3D000", answer("3D000", `database "x" does not exist`), Refused},
		{"42501", answer("42501", "permission denied"), Refused},
		{"0A000", answer("0A000", "unsupported frontend protocol"), Refused},
		{"42704 of ours", answer("42704", `unrecognized configuration parameter "client_connection_check_interval"`), Unsupported},
		{"22023 of ours", answer("22023", `ungültiger Wert für Parameter »tcp_keepalives_idle«: »30«`), Unsupported},
		{"42704 of others", answer("42704", `unrecognized configuration parameter "serach_path"`), Refused},
		{"22023 of others", answer("22023", `invalid value for parameter "DateStyle"`), Refused},
		{"a pooler and ours", answer("08P01", "unsupported startup parameter: tcp_keepalives_count"), Unsupported},
		{"a pooler and others", answer("08P01", "no such user"), Transient},
		{"no TLS", errors.New("tls error: server refused TLS connection"), Refused},
		{"certificate", fmt.Errorf("tls error: %w", &tls.CertificateVerificationError{Err: io.EOF}), Refused},
		{"unknown authority", fmt.Errorf("tls error: %w", x509.UnknownAuthorityError{}), Refused},
		{"expired", x509.CertificateInvalidError{Reason: x509.Expired}, Refused},
		{"target_session_attrs", pgconn.ErrReadOnlyConnection, Transient},
	} {
		require.Equal(t, c.want, Classify(c.err), c.name)
	}
}

func TestClassesHaveNames(t *testing.T) {
	names := map[string]bool{}
	for _, c := range []Class{Transient, Wait, Refused, Unsupported} {
		names[c.String()] = true
	}
	require.Equal(t, map[string]bool{"unreachable": true, "deferred": true, "refused": true, "unsupported": true}, names)
}
