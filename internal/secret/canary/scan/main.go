// Command scan searches files for the canary password and fails if it finds it, or if a file is empty, which would prove
// nothing. It names place and form, and never prints the line itself.
//
//	go run ./internal/secret/canary/scan FILE...
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

func main() {
	if err := scanAll(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "canary:", err)
		os.Exit(1)
	}
}

func scanAll(paths []string, out io.Writer) error {
	if len(paths) == 0 {
		return errors.New("no file to search was named")
	}
	places := 0
	for _, path := range paths {
		n, err := scanFile(path, out)
		if err != nil {
			return err
		}
		places += n
	}
	if places > 0 {
		return fmt.Errorf("the canary password was printed in %d lines", places)
	}
	return nil
}

// scanFile reports each line of the file that holds the password, and the number of such lines.
func scanFile(path string, out io.Writer) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	places, number := 0, 0
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			number++
		}
		if forms := canary.Find(line); forms != nil {
			places++
			fmt.Fprintf(out, "%s:%d: the canary password, %s\n", path, number, strings.Join(forms, ", "))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return places, err
		}
	}
	if number == 0 {
		return 0, fmt.Errorf("%s is empty: nothing was searched", path)
	}
	fmt.Fprintf(out, "canary: %s: %d lines searched\n", path, number)
	return places, nil
}
