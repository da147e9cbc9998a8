package messages

// Target names the server that a connection leads to. It never carries a password, so it may stand in logs and errors.
type Target struct {
	Host     string // a name, an address, or the folder of a Unix socket; of several hosts the first
	Port     uint16 // of that host
	Database string // its name
	User     string // the role that logs in
}
