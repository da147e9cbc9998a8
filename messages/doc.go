// Package messages holds what the actors of this module say to each other: plain data, no behaviour.
//
// Values are sent over channels and published through atomic pointers; whoever receives one treats it as read-only.
package messages
