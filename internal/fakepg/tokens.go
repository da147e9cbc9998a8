package fakepg

import "strings"

type tokenKind int

const (
	endToken tokenKind = iota // the zero token: nothing is left
	numberToken
	stringToken
	parameterToken // text is the number behind the dollar sign
	wordToken
	symbolToken
)

type token struct {
	kind tokenKind
	text string
}

// is compares with a symbol, or with a word in any case.
func (t token) is(text string) bool {
	return (t.kind == wordToken || t.kind == symbolToken) && strings.EqualFold(t.text, text)
}

// tokenize cuts a statement into tokens, without spaces and comments. What it does not know is a symbol of one byte.
func tokenize(text string) []token {
	var tokens []token
	for text != "" {
		t, length := firstToken(text)
		if t.kind != endToken {
			tokens = append(tokens, t)
		}
		text = text[length:]
	}
	return tokens
}

// firstToken reads one token, or spaces or a comment as an endToken, and says how many bytes it took.
func firstToken(text string) (token, int) {
	switch c := text[0]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		return token{}, 1
	case strings.HasPrefix(text, "--"):
		return token{}, through(text, "\n")
	case strings.HasPrefix(text, "/*"):
		return token{}, through(text, "*/")
	case c == '\'':
		return quoted(text, stringToken)
	case c == '"':
		return quoted(text, wordToken)
	case c == '$' && spanOf(text[1:], isDigit) > 0:
		length := 1 + spanOf(text[1:], isDigit)
		return token{parameterToken, text[1:length]}, length
	case isDigit(c):
		// Letters belong to it for the sake of "fail 57P01".
		length := spanOf(text, func(c byte) bool { return isDigit(c) || isLetter(c) || c == '.' })
		return token{numberToken, text[:length]}, length
	case isLetter(c):
		length := spanOf(text, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '.' || c == '$' })
		return token{wordToken, text[:length]}, length
	case strings.HasPrefix(text, "::"):
		return token{symbolToken, "::"}, 2
	default:
		return token{symbolToken, text[:1]}, 1
	}
}

// quoted reads what stands between quotation marks; a doubled one stands for itself.
func quoted(text string, kind tokenKind) (token, int) {
	mark := text[:1]
	for end := 1; end < len(text); end++ {
		if text[end] != mark[0] {
			continue
		}
		if end+1 < len(text) && text[end+1] == mark[0] {
			end++
			continue
		}
		return token{kind, strings.ReplaceAll(text[1:end], mark+mark, mark)}, end + 1
	}
	return token{kind, text[1:]}, len(text)
}

// through is the length of text up to the end of this mark, or of all of it.
func through(text, mark string) int {
	if at := strings.Index(text, mark); at >= 0 {
		return at + len(mark)
	}
	return len(text)
}

func spanOf(text string, of func(byte) bool) int {
	n := 0
	for n < len(text) && of(text[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// split cuts the text of a Query into its statements, without empty ones.
func split(text string) []string {
	var pieces []string
	begin, at, something := 0, 0, false
	cut := func() {
		if something {
			pieces = append(pieces, strings.TrimSpace(text[begin:at]))
		}
		something = false
	}
	for at < len(text) {
		t, length := firstToken(text[at:])
		if t.is(";") {
			cut()
			begin = at + length
		} else if t.kind != endToken {
			something = true
		}
		at += length
	}
	cut()
	return pieces
}
