package backend

import (
	"bytes"
	"regexp"
)

// This file reads the texts of statements for what they may change about their session. It is no parser: it looks for
// words that a change cannot do without, at the beginning of a statement or anywhere, and believes them wherever they
// stand, in a string or a comment, too. A false alarm costs a round trip, a miss would leak.

// Signs that mean something only together with a second word in the same text.
const (
	saidDeclare  Changes = 1 << (31 - iota) // with HOLD: a cursor that outlives its transaction
	saidSettings                            // the view pg_settings, with UPDATE: a SET
)

// MayChange tells whether the statements in a text may change something about their session, as far as a text can tell.
func MayChange(text string) bool { return textChanges([]byte(text)) != 0 }

// textChanges says what the statements in a text may change. It takes two thirds of a nanosecond a byte.
func textChanges(text []byte) Changes {
	seen := firstWords(text)
	var before byte
	for i, b := range text {
		if b|0x20 == telling[before] {
			seen |= changesAt(text, i-1)
		}
		before = b
	}
	if seen&saidDeclare != 0 && contains(text, "hold") {
		seen |= ChangedCursors
	}
	if seen&saidSettings != 0 && contains(text, "update") {
		seen |= ChangedSettings
	}
	return seen &^ (saidDeclare | saidSettings)
}

// firstWords looks at the first word of each statement. A semicolon need not end one (it may stand in a string); what
// follows is looked at all the same.
func firstWords(text []byte) (seen Changes) {
	for {
		if len(text) > 0 && !harmless[text[0]] {
			word, rest, ok := firstWord(text)
			if !ok {
				return ChangedAnything
			}
			seen |= changesBy(word, rest)
		}
		end := bytes.IndexByte(text, ';')
		if end < 0 {
			return seen
		}
		text = text[end+1:]
	}
}

// changesBy says what a statement changes that begins with this word.
func changesBy(word, rest []byte) Changes {
	switch {
	case len(word) > len("prepare") || len(word) == len("select"): // most of them
		return 0
	case same(word, "set"):
		return changesBySet(rest)
	case same(word, "prepare"):
		if second, _, _ := firstWord(rest); same(second, "transaction") {
			return 0
		}
		return ChangedPrepared
	case same(word, "declare"):
		return saidDeclare
	case same(word, "load"):
		return ChangedLibraries
	case same(word, "do"):
		return ChangedAnything
	default:
		return 0
	}
}

// changesBySet looks at what follows a SET.
func changesBySet(rest []byte) Changes {
	switch second, _, _ := firstWord(rest); {
	case same(second, "local"), same(second, "transaction"):
		return saidLocal
	case same(second, "constraints"):
		return 0
	default:
		return ChangedSettings
	}
}

// maxBlank is how far a first word is looked for: further than people write comments.
const maxBlank = 1 << 14

// firstWord skips spaces and comments, and cuts off the word behind them: an empty one if there is none. It is not ok
// if there is no end of them.
func firstWord(text []byte) (word, rest []byte, ok bool) {
	from, depth := 0, 0 // comments nest
	for from < len(text) {
		switch ahead := text[from:]; {
		case depth == 0 && inWord[ahead[0]]:
			word, rest = cutWord(ahead)
			return word, rest, true
		case from > maxBlank:
			return nil, nil, false
		case standsAt(ahead, 0, "/*"):
			depth++
			from += 2
		case depth > 0 && standsAt(ahead, 0, "*/"):
			depth--
			from += 2
		case depth > 0 || blank(ahead[0]):
			from++
		case standsAt(ahead, 0, "--"):
			line := bytes.IndexAny(ahead, "\r\n")
			if line < 0 {
				return nil, nil, true
			}
			from += line
		default:
			return nil, nil, true
		}
	}
	return nil, nil, true
}

func cutWord(text []byte) (word, rest []byte) {
	for i, b := range text {
		if !inWord[b] {
			return text[:i], text[i:]
		}
	}
	return text, nil
}

// telling has, for the first of two letters that are rare but in a word that means a change anywhere, the second.
var telling = [256]byte{'m': 'p', 'M': 'p', 'v': 'i', 'V': 'i', 'f': 'i', 'F': 'i', 'g': 's', 'G': 's'}

// changesAt looks whether such a word is around i, where the first of its telling letters stands.
func changesAt(text []byte, i int) Changes {
	switch lower(text[i]) {
	case 'm': // temp, temporary
		if standsAt(text, i-2, "temp") && createsTemporary(text, i-2) {
			return ChangedTemporary
		}
	case 'v': // pg_advisory_lock, pg_try_advisory_lock_shared; not pg_advisory_xact_lock, pg_advisory_unlock
		if standsAt(text, i-2, "advisory_lock") {
			return ChangedLocks
		}
	case 'f':
		if standsAt(text, i-7, "set_config") && !localConfig.Match(text[i+3:]) {
			return ChangedSettings
		}
	case 'g':
		if standsAt(text, i-9, "pg_settings") {
			return saidSettings
		}
	}
	return 0
}

// localConfig is how a call of set_config goes on whose change ends with its transaction. It takes the plain form alone,
// and no setting of the server's own: with search_path, a table can become temporary that nobody calls so.
var localConfig = regexp.MustCompile(`^\s*\(\s*'\w+\.[\w.]+'\s*,\s*(?:\$\d+(?:::\w+)?|'[^'\\]*')\s*,\s*(?i:true)\s*\)`)

// createsTemporary tells whether the "temp" at i makes something temporary: as a part of pg_temp, or as a word of its
// own behind one of those that it follows then.
func createsTemporary(text []byte, i int) bool {
	if standsAt(text, i-3, "pg_") {
		return true
	}
	end := i + len("temp")
	if standsAt(text, end, "orary") {
		end += len("orary")
	}
	if end < len(text) && inWord[text[end]] || i > 0 && inWord[text[i-1]] {
		return false
	}
	word, hidden := wordBefore(text[:i])
	return hidden || same(word, "create") || same(word, "replace") || same(word, "into") ||
		same(word, "local") || same(word, "global")
}

// wordBefore cuts the last word off a text, unless a comment hides it.
func wordBefore(text []byte) (word []byte, hidden bool) {
	end := len(text)
	lines := false
	for end > 0 && blank(text[end-1]) {
		end--
		lines = lines || text[end] == '\n' || text[end] == '\r'
	}
	if end > 0 && text[end-1] == '/' {
		return nil, true
	}
	if lines {
		line := text[bytes.LastIndexAny(text[:end], "\r\n")+1 : end]
		if bytes.Contains(line, []byte("--")) {
			return nil, true
		}
	}
	from := end
	for from > 0 && inWord[text[from-1]] {
		from--
	}
	return text[from:end], false
}

// contains tells whether a word in small letters is in a text, in any case.
func contains(text []byte, word string) bool {
	for i := range text {
		if standsAt(text, i, word) {
			return true
		}
	}
	return false
}

// standsAt tells whether a word in small letters is at i, in any case.
func standsAt(text []byte, i int, word string) bool {
	return i >= 0 && i+len(word) <= len(text) && same(text[i:i+len(word)], word)
}

// same compares with a word in small letters, in any case.
func same(text []byte, word string) bool {
	if len(text) != len(word) {
		return false
	}
	for i, b := range text {
		if small[b] != word[i] {
			return false
		}
	}
	return true
}

func blank(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }

// What bytes are, as tables: that is quicker than any condition.
var (
	small  = tableOf(lower)
	inWord = tableOf(func(b byte) bool { return isLetter(b) || b >= '0' && b <= '9' || b == '_' || b == '$' || b >= 0x80 })
	// harmless are the first letters with which no statement begins that changes anything.
	harmless = tableOf(func(b byte) bool { return isLetter(b) && !bytes.ContainsRune([]byte("spdl"), rune(lower(b))) })
)

func isLetter(b byte) bool { return lower(b) >= 'a' && lower(b) <= 'z' }

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

func tableOf[T any](f func(byte) T) (table [256]T) {
	for b := range table {
		table[b] = f(byte(b))
	}
	return table
}
