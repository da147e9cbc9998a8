package hangs

import (
	"net"
	"os"
	"testing"
)

func TestHangs(t *testing.T) {
	c, err := net.Dial("unix", os.Getenv("SAMPLE_SOCKET"))
	if err != nil {
		t.Fatal(err)
	}
	// Until the process is ended from outside.
	_, err = c.Read(make([]byte, 1))
	t.Fatal(err)
}
