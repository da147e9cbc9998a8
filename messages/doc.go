// Package messages holds what the actors of this module say to each other: plain data, no behaviour.
//
// Whoever uses a pool meets some of them in what it tells, such as [Outage] in its Stat:
//
//	if o := pool.Stat().Outage; !o.Since.IsZero() {
//		log.Println("no connection since", o.Since)
//	}
//
// Values are sent over channels and published through atomic pointers; whoever receives one treats it as read-only.
package messages
