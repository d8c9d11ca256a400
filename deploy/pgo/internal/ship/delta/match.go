package delta

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// Lengths in bytes of the search. The old file is indexed by each run of bytes at a multiple of its length; the new one is
// searched byte by byte.
const (
	runLength  = 32 // a stretch begins with a run of so many equal bytes
	nearLength = 64 // a stretch goes on while half of so many bytes are equal
)

// stretch is a part of the new file: fresh bytes, and then bytes like those of the old file at from.
type stretch struct {
	fresh      int // offset of its fresh bytes in the new file
	start, end int // offsets of the bytes that are like old ones, in the new file
	from       int // offset of these in the old file
}

// findStretches returns the stretches that make up the whole new file, in order.
func findStretches(old, new []byte) iter.Seq[stretch] {
	return func(yield func(stretch) bool) {
		known := indexRuns(old)
		fresh := 0  // offset of the bytes that belong to no stretch yet
		offset := 0 // of the previous stretch, from the new file to the old
		for at := 0; at+runLength <= len(new); {
			from, ok := known.findRun(old, new, at, offset)
			if !ok {
				at++
				continue
			}
			start := at
			for start > fresh && from > 0 && new[start-1] == old[from-1] {
				start, from = start-1, from-1
			}
			end := start + countAlike(new[start:], old[from:])
			if !yield(stretch{fresh, start, end, from}) {
				return
			}
			offset, fresh, at = from-start, end, end
		}
		if fresh < len(new) {
			yield(stretch{fresh: fresh, start: len(new), end: len(new)})
		}
	}
}

// countAlike returns for how many bytes a and b are alike, up to the last equal byte. Their first bytes have to be equal.
func countAlike(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for i+nearLength <= n {
		same := 0
		for j := i; j < i+nearLength; j += 8 {
			same += equalBytes(binary.LittleEndian.Uint64(a[j:]), binary.LittleEndian.Uint64(b[j:]))
		}
		if same < nearLength/2 {
			break
		}
		i += nearLength
	}
	for i < n && a[i] == b[i] {
		i++
	}
	for i > 0 && a[i-1] != b[i-1] {
		i--
	}
	return i
}

// equalBytes counts the equal bytes of two words.
func equalBytes(a, b uint64) int {
	x := a ^ b
	x |= x >> 4
	x |= x >> 2
	x |= x >> 1
	return 8 - bits.OnesCount64(x&0x0101010101010101)
}

// runIndex holds where in the old file a run was last seen, by the upper bits of its hash.
type runIndex struct {
	at    []uint32 // 1 + number of the run; 0 is none
	shift int
}

func indexRuns(old []byte) runIndex {
	size := bits.Len(uint(len(old)/runLength)) + 1
	m := runIndex{make([]uint32, 1<<size), 64 - size}
	for n := range len(old) / runLength {
		m.at[hashRun(old[n*runLength:])>>m.shift] = uint32(n + 1)
	}
	return m
}

// findRun returns the offset in the old file of the run at an offset of the new one. It tries the continuation of the previous
// stretch first.
func (m runIndex) findRun(old, new []byte, at, offset int) (from int, ok bool) {
	if from = at + offset; from >= 0 && from+runLength <= len(old) && isSameRun(new[at:], old[from:]) {
		return from, true
	}
	n := m.at[hashRun(new[at:])>>m.shift]
	if n == 0 {
		return 0, false
	}
	from = int(n-1) * runLength
	return from, isSameRun(new[at:], old[from:])
}

func isSameRun(a, b []byte) bool { return [runLength]byte(a) == [runLength]byte(b) }

// hashRun returns the hash of the first run of b.
func hashRun(b []byte) uint64 {
	h := uint64(0)
	for i := 0; i < runLength; i += 8 {
		h = (bits.RotateLeft64(h, 23) ^ binary.LittleEndian.Uint64(b[i:])) * 0x9E3779B97F4A7C15
	}
	return h
}
