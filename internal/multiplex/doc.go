// Package multiplex lets the statements of many callers share a few connections.
//
// # What it is for
//
// A statement that leases a connection costs one write, one wait for the server and one read, and keeps the connection for
// all of that time. With more callers than connections, or with a long way to the server, most of that is waiting. Here a
// connection has many statements under way: what waits is written at once, the server works through it in order, and each
// caller is woken with its own answer. One Sync behind each statement keeps them apart: each is a transaction of its own, so
// the error of one is no concern of its neighbours, and its outcome is final when the server is ready for the next: a
// deferred constraint fails after the statement has been answered.
//
// # Parts
//
//	caller ── queue ──┬── lane: writer ══ connection ══ reader ── answers
//	                  ├── lane
//	                  └── keeper: how many lanes, how wide their windows
//
// A [Group] has one queue. A statement in it belongs to no connection yet, so there is nothing to move when a connection
// goes. A lane is a connection with two goroutines. Its writer takes the oldest statements from the queue, no more than its
// fair share and its window allow, gives the processor away once, so that those who were just woken can add theirs, and
// writes all in one go. Its reader never waits for anybody but the server, so both ends cannot block each other: answers are
// kept as raw bytes, and decoded by the callers. The window follows what the server answers in the time of a round trip
// (window.go): so a slow statement delays few others, and a long way does not leave the server idle. The keeper looks every
// few milliseconds and lives as long as there is a lane. It adds lanes while there is work for more, gives them back when
// there is not, or when whoever lent the connection wants it back.
//
// A lane ends in order by taking nothing more, waiting for what is under way, making the server forget the statements that
// it prepared, and giving the connection back. When its connection is lost, what was not written is still in the queue or
// returns to it; what was written and not answered has an unknown outcome, unless it may run twice.
//
// # Elsewhere
//
// Whatever is not clear is done elsewhere: [ErrElsewhere] tells the caller to run its statement on a connection of its own,
// and says that nothing of it has been done. So it is while no lane is open, with hardly anybody to share with (a hand-over
// from one goroutine to another costs a quarter of a statement on a fast network), for the first use of a statement, and while it
// is being prepared, for texts whose effects are not plain (classify.go), for statements that were slow or had large
// results lately, and when every lane has stopped moving. What to do in an outage, a suspension or at the end of a pool is
// therefore decided in one place: where connections are leased.
//
// # Statements
//
// A text is looked at once: may it share, may it not, or is it to be done elsewhere; and does it only read, for all that its
// text can tell: no function but known ones. Once described, it has a name of its own, under which each lane prepares it
// when it first comes there, with the types that the parameters had at first: whoever encoded the arguments went by those.
// A statement that the server refuses before anything has run because the plan or the parameters are not what they were
// (0A000 and its kind, after DDL) is described anew and sent again, once, without its caller.
//
// Of what only reads, no more rows are asked for, and no more bytes are kept, than is good for its neighbours. A larger result
// is thrown away and read again elsewhere, which nobody can tell from reading it once. Anything else has its effects when
// it is executed, so its rows are kept, whatever their number; after that its text goes elsewhere for a while.
package multiplex
