package command

// MaxOutput is the number of bytes that an Output keeps.
const MaxOutput = 64 << 10

// Output is an io.Writer that keeps the last MaxOutput bytes that a program prints. It is for one writer at a time.
type Output struct {
	kept        []byte
	isTruncated bool
}

// Write keeps the end of text. It never fails.
func (o *Output) Write(text []byte) (int, error) {
	if o.kept = append(o.kept, text...); len(o.kept) > MaxOutput {
		o.isTruncated = true
		o.kept = append(o.kept[:0], o.kept[len(o.kept)-MaxOutput:]...)
	}
	return len(text), nil
}

// Bytes returns the bytes that are kept.
func (o *Output) Bytes() []byte { return o.kept }

// IsTruncated reports whether the program printed more than is kept.
func (o *Output) IsTruncated() bool { return o.isTruncated }
