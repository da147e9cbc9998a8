package retry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// failure is the only kind of error that leaves this package as the outcome of a dial. It holds text and numbers, never
// the error that it was made from: pgx's own carries the whole configuration, password included, and what a DialFunc or
// a LookupFunc returns may quote anything.
type failure struct {
	class  Class
	text   string
	server *pgconn.PgError // what the server answered; nil if it did not
	errno  syscall.Errno   // what the system answered; zero if it did not
	hook   *disguise       // what a hook of Config returned; nil if none did
}

func (f *failure) Error() string { return f.text }

// Unwrap lets errors.As find the server's answer and errors.Is the system's, and both what a hook returned.
func (f *failure) Unwrap() []error {
	var causes []error
	if f.server != nil {
		causes = append(causes, f.server)
	}
	if f.errno != 0 {
		causes = append(causes, f.errno)
	}
	if f.hook != nil {
		causes = append(causes, f.hook)
	}
	return causes
}

// disguise is an error of the user's that can be asked for, but prints no more than the failure does. The end of a hook's
// own time is not the end of a caller's, so it does not match the context's errors.
type disguise struct {
	text  string
	asked func() error // a function, since %#v would print what it finds in a field
}

func (d *disguise) Error() string      { return d.text }
func (d *disguise) As(target any) bool { return errors.As(d.asked(), target) }

func (d *disguise) Is(target error) bool {
	return target != context.Canceled && target != context.DeadlineExceeded && errors.Is(d.asked(), target)
}

// redacted stands where a secret stood.
const redacted = "[redacted]"

// shortestSecret is the length from which on a password is searched in texts: a shorter one occurs in innocent words.
const shortestSecret = 4

// redactor makes failures out of errors and takes the secrets of one configuration out of their texts.
type redactor struct{ secrets *strings.Replacer }

func newRedactor(cfg *pgx.ConnConfig) redactor {
	var pairs []string
	add := func(secret string) {
		if len(secret) >= shortestSecret {
			pairs = append(pairs, secret, redacted)
		}
	}
	add(cfg.ConnString())
	// A password that is the name of something in the target cannot be hidden: the target stands in every text.
	if p := cfg.Password; p != cfg.User && p != cfg.Database && p != cfg.Host {
		for _, spelling := range spellings(p) {
			add(spelling)
		}
	}
	return redactor{secrets: strings.NewReplacer(pairs...)}
}

// spellings are the forms in which a password may turn up in a text, longer ones first where one contains another.
func spellings(password string) []string {
	quoted := strconv.Quote(password)
	inQuery := url.QueryEscape(password)
	inJSON, _ := json.Marshal(password) // a string always has a JSON form
	return []string{
		inQuery,
		strings.ReplaceAll(inQuery, "+", "%20"),
		url.PathEscape(password),
		strings.TrimPrefix(url.UserPassword("", password).String(), ":"),
		quoted[1 : len(quoted)-1],
		string(inJSON[1 : len(inJSON)-1]),
		strings.ReplaceAll(strings.ReplaceAll(password, `\`, `\\`), `'`, `\'`),
		base64.StdEncoding.EncodeToString([]byte(password)),
		base64.URLEncoding.EncodeToString([]byte(password)),
		base64.RawStdEncoding.EncodeToString([]byte(password)),
		base64.RawURLEncoding.EncodeToString([]byte(password)),
		password,
	}
}

// A password also stands where connection strings have theirs, in whatever spelling, and whosever it is.
var (
	urlPassword     = regexp.MustCompile(`(://[^:/?#@\s]*):[^@\s]*@`)
	keywordPassword = regexp.MustCompile(`(?i)(password"?\s*[=:]\s*)('(\\.|[^'\\])*'|"(\\.|[^"\\])*"|[^\s&,}'"]+)`)
)

func (r redactor) clean(text string) string {
	text = r.secrets.Replace(text)
	text = urlPassword.ReplaceAllString(text, "${1}:"+redacted+"@")
	return keywordPassword.ReplaceAllString(text, "${1}"+redacted)
}

// failure turns the error of one attempt into one that may be shown to anybody.
func (r redactor) failure(err error) *failure {
	var done *failure
	if errors.As(err, &done) {
		return done
	}
	f := &failure{class: Classify(err), text: r.clean(bare(err).Error())}
	var hook *hookError
	if errors.As(err, &hook) {
		f.hook = &disguise{text: f.text, asked: func() error { return hook.err }}
		if hook.name == "BeforeConnect" { // whoever answered there, it was not the server
			f.class = Transient
			return f
		}
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		f.server = r.answer(server)
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		f.errno = errno
	}
	return f
}

// answer copies what the server said; its text is not in our hands, either.
func (r redactor) answer(e *pgconn.PgError) *pgconn.PgError {
	c := *e
	for _, text := range []*string{&c.Message, &c.Detail, &c.Hint, &c.Where, &c.InternalQuery} {
		*text = r.clean(*text)
	}
	return &c
}

// bare takes off what pgx puts around an error: the user and database, which the target names already, and connection
// strings, which it masks on a best-effort basis only.
func bare(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("a connection string could not be parsed")
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) && connect.Unwrap() != nil {
		return connect.Unwrap()
	}
	return err
}

// summary makes one failure out of those of several attempts, which must not be none. Where one of them has the class,
// it lends its facts.
func summary(class Class, parts []*failure) *failure {
	sum := &failure{class: class}
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = part.text
		if i == 0 || part.class == class {
			sum.server, sum.errno, sum.hook = part.server, part.errno, part.hook
		}
	}
	sum.text = strings.Join(texts, "; ")
	return sum
}
