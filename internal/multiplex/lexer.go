package multiplex

import "strings"

// kind is what a token of SQL is, as far as it matters here.
type kind uint8

const (
	word      kind = iota // an identifier or a key word, in small letters; a quoted one as it is
	quoted                // a quoted identifier
	symbol                // one character
	literal               // a string or a number
	semicolon             // ;
	end                   // of the text
	unclear               // something that cannot be read with certainty
)

// token is one of the text's.
type token struct {
	kind kind
	text string
}

// lexer cuts a text into tokens, as the server does it with standard_conforming_strings on. Comments are left out. Where
// another setting would make a difference, the token is unclear.
type lexer struct{ rest string }

func (l *lexer) next() token {
	if !l.skipBlank() {
		return token{kind: unclear}
	}
	if l.rest == "" {
		return token{kind: end}
	}
	switch c := l.rest[0]; {
	case c == ';':
		return l.take(semicolon, 1)
	case c == '\'':
		return l.plainString()
	case c == '"':
		return l.quotedName()
	case c == '$':
		return l.dollar()
	case isLetter(c):
		return l.name()
	case isDigit(c):
		return l.number()
	case c == 0 || c == '\\':
		return token{kind: unclear}
	default:
		return l.take(symbol, 1)
	}
}

func (l *lexer) take(k kind, n int) token {
	t := token{kind: k, text: l.rest[:n]}
	l.rest = l.rest[n:]
	return t
}

// skipBlank skips spaces and comments; false: a comment has no end.
func (l *lexer) skipBlank() bool {
	for {
		l.rest = strings.TrimLeft(l.rest, " \t\n\r\f\v")
		switch {
		case strings.HasPrefix(l.rest, "--"):
			line := strings.IndexAny(l.rest, "\n\r")
			if line < 0 {
				l.rest = ""
				return true
			}
			l.rest = l.rest[line:]
		case strings.HasPrefix(l.rest, "/*"):
			if !l.skipComment() {
				return false
			}
		default:
			return true
		}
	}
}

// skipComment skips a comment with those inside it.
func (l *lexer) skipComment() bool {
	depth := 0
	for at := 0; at+1 < len(l.rest); {
		switch l.rest[at : at+2] {
		case "/*":
			depth++
			at += 2
		case "*/":
			at += 2
			if depth--; depth == 0 {
				l.rest = l.rest[at:]
				return true
			}
		default:
			at++
		}
	}
	return false
}

// plainString reads '...'. A backslash in it means something else under another setting.
func (l *lexer) plainString() token {
	n, ok := closing(l.rest, '\'')
	if !ok || strings.Contains(l.rest[:n], `\`) {
		return token{kind: unclear}
	}
	return l.take(literal, n)
}

// escapedString reads the rest of E'...', where a backslash takes the meaning from what follows.
func (l *lexer) escapedString() token {
	for at := 1; at < len(l.rest); at++ {
		switch l.rest[at] {
		case '\\':
			at++
		case '\'':
			if at+1 < len(l.rest) && l.rest[at+1] == '\'' {
				at++
				continue
			}
			return l.take(literal, at+1)
		}
	}
	return token{kind: unclear}
}

func (l *lexer) quotedName() token {
	n, ok := closing(l.rest, '"')
	if !ok {
		return token{kind: unclear}
	}
	t := l.take(quoted, n)
	t.text = strings.ReplaceAll(t.text[1:n-1], `""`, `"`)
	return t
}

// closing finds the end of what is quoted, where the quote doubled is itself.
func closing(text string, quote byte) (int, bool) {
	for at := 1; at < len(text); at++ {
		if text[at] != quote {
			continue
		}
		if at+1 < len(text) && text[at+1] == quote {
			at++
			continue
		}
		return at + 1, true
	}
	return 0, false
}

// number reads a number. Before version 15 a word may follow one without a space between them: "select 1into t".
func (l *lexer) number() token {
	n := span(l.rest, func(c byte) bool { return isDigit(c) || c == '.' || isLetter(c) })
	if strings.Trim(l.rest[:n], "0123456789._eE") != "" {
		return token{kind: unclear}
	}
	return l.take(literal, n)
}

// dollar reads a parameter ($1) or a string ($tag$...$tag$).
func (l *lexer) dollar() token {
	if n := span(l.rest[1:], isDigit); n > 0 {
		return l.take(literal, n+1)
	}
	tag := span(l.rest[1:], func(c byte) bool { return isLetter(c) || isDigit(c) })
	if 1+tag >= len(l.rest) || l.rest[1+tag] != '$' {
		return token{kind: unclear}
	}
	mark := l.rest[:tag+2]
	body := strings.Index(l.rest[len(mark):], mark)
	if body < 0 {
		return token{kind: unclear}
	}
	return l.take(literal, len(mark)+body+len(mark))
}

// name reads an identifier, a key word, or the letter before a string.
func (l *lexer) name() token {
	n := span(l.rest, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '$' })
	t := l.take(word, n)
	t.text = lower(t.text)
	if l.rest == "" {
		return t
	}
	switch {
	case l.rest[0] == '\'' && t.text == "e":
		return l.escapedString()
	case l.rest[0] == '\'' && (t.text == "b" || t.text == "x" || t.text == "n"):
		return l.plainString()
	case l.rest[0] == '&' && t.text == "u" && len(l.rest) > 1 && (l.rest[1] == '\'' || l.rest[1] == '"'):
		return token{kind: unclear} // U&"..." can spell any name
	default:
		return t
	}
}

// lower makes small letters as the server does, for which those beyond ASCII are no other letters in UTF-8: strings.ToLower
// makes a k of the Kelvin sign.
func lower(text string) string {
	upper := func(r rune) bool { return r >= 'A' && r <= 'Z' }
	if !strings.ContainsFunc(text, upper) {
		return text
	}
	small := []byte(text)
	for i, c := range small {
		if upper(rune(c)) {
			small[i] = c | 0x20
		}
	}
	return string(small)
}

func span(text string, in func(byte) bool) int {
	for i := range len(text) {
		if !in(text[i]) {
			return i
		}
	}
	return len(text)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80 }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
