package messages

// Target names the server that a connection leads to. It never carries a password, so it may stand in logs and errors.
type Target struct {
	Host     string
	Port     uint16
	Database string
	User     string
}
