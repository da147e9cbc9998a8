package backend

// Changes is a set of things about a session that its statements have changed, or may have, for those after them.
//
// Two witnesses say so. The text of a statement, when it is sent: it knows what the tag of the answer does not tell (a
// temporary table has the tag of any other), what outlives the failure of its transaction and so may have no tag at all
// (PREPARE, LOAD, locks), and that a SET is LOCAL. And the tag of the answer, for everything else and once more.
type Changes uint32

// What a session can have changed. What is undone or was local may be among it; what functions, procedures, triggers
// and views do inside is not.
const (
	ChangedSettings  Changes = 1 << iota // SET (but not SET LOCAL), SET ROLE, SET SESSION AUTHORIZATION, RESET, set_config()
	ChangedTemporary                     // CREATE TEMP, SELECT INTO TEMP, pg_temp
	ChangedLocks                         // pg_advisory_lock() and its kind, those of a transaction excepted
	ChangedListening                     // LISTEN, UNLISTEN
	ChangedPrepared                      // PREPARE
	ChangedCursors                       // DECLARE WITH HOLD
	ChangedLibraries                     // LOAD
	Deallocated                          // DEALLOCATE, DISCARD ALL: those that pgx keeps may be among what is gone
	Unfenced                             // by Conn.Note alone: somebody used the connection past its lease

	saidLocal   // SET LOCAL or SET TRANSACTION, by its text
	answeredSet // SET in any form, by its tag

	// ChangedAnything is what a DO block may have changed, and what was sent unseen. DISCARD ALL undoes it.
	ChangedAnything = ChangedSettings | ChangedTemporary | ChangedLocks | ChangedListening | ChangedPrepared | ChangedCursors
)

// conclude says what the two witnesses together mean for the session. The tag of a SET counts unless it can be that of a
// SET LOCAL.
func (c Changes) conclude() Changes {
	if c&answeredSet != 0 && c&saidLocal == 0 {
		c |= ChangedSettings
	}
	return c &^ (saidLocal | answeredSet)
}

// tagLength is enough of a command tag to tell those of taggedChanges apart from all others.
const tagLength = 20

// taggedChanges says what a statement with this command tag changed. The tags are those of the server's cmdtaglist.h.
func taggedChanges(tag []byte) Changes {
	if len(tag) > 0 && tag[len(tag)-1] == 0 {
		tag = tag[:len(tag)-1]
	}
	switch string(tag) {
	case "SET":
		return answeredSet
	case "RESET":
		return ChangedSettings
	case "LISTEN", "UNLISTEN":
		return ChangedListening
	case "PREPARE":
		return ChangedPrepared
	case "DEALLOCATE", "DEALLOCATE ALL", "DISCARD ALL":
		return Deallocated
	case "LOAD":
		return ChangedLibraries
	case "DO":
		return ChangedAnything
	default:
		return 0
	}
}
