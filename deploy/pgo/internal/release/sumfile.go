package release

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// SumFilePath returns the path of the file beside a program that may hold its SHA-256, in the format of sha256sum or shasum,
// or as bare digits.
func SumFilePath(program string) string { return program + ".sha256" }

// expectedSum is the content of a sum file.
type expectedSum struct {
	sum     string // lowercase hex
	modTime time.Time
}

// readSumFile returns nil if the file does not exist or has no entry for the program.
func readSumFile(program string) (*expectedSum, error) {
	f, info, err := openRegular(SumFilePath(program))
	if _, odd := errors.AsType[*Refusal](err); odd || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the checksum beside it: %w", err)
	}
	defer f.Close()
	sum, err := parseSums(io.LimitReader(f, maxTableSize), filepath.Base(program))
	if err != nil {
		return nil, fmt.Errorf("read the checksum beside it: %w", err)
	}
	if sum == "" {
		return nil, nil
	}
	return &expectedSum{sum, info.ModTime()}, nil
}

// parseSums returns the sum of the file with that name. A single line applies whatever name it has: the file may have been
// renamed since.
func parseSums(r io.Reader, name string) (string, error) {
	var sums []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		sum, of := parseSumLine(strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff")))
		if sum == "" {
			continue
		}
		if of != "" && filepath.Base(of) == name {
			return sum, nil
		}
		sums = append(sums, sum)
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return "", err
	}
	if len(sums) == 1 {
		return sums[0], nil
	}
	return "", nil
}

// parseSumLine parses `DIGITS`, `DIGITS  NAME`, `DIGITS *NAME` and `SHA256 (NAME) = DIGITS`.
func parseSumLine(line string) (sum, name string) {
	digits, rest, _ := strings.Cut(line, " ")
	name = strings.TrimPrefix(strings.TrimLeft(rest, " "), "*")
	if tagged, ok := strings.CutPrefix(line, "SHA256 ("); ok {
		if at := strings.LastIndex(tagged, ") = "); at >= 0 {
			name, digits = tagged[:at], tagged[at+len(") = "):]
		}
	}
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != 32 {
		return "", ""
	}
	return hex.EncodeToString(raw), name
}
