package slipway

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digest is the SHA-256 of some bytes in lower-case hexadecimal: the one
// identity of content.
type Digest string

// DigestOf hashes b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(hex.EncodeToString(sum[:]))
}

// ParseDigest checks that s is 64 lower-case hexadecimal characters. It fails
// with Invalid.
func ParseDigest(s string) (Digest, error) {
	if len(s) != 2*sha256.Size {
		return "", Errorf(Invalid, "%q is not a SHA-256 digest", s)
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", Errorf(Invalid, "%q is not a SHA-256 digest", s)
		}
	}
	return Digest(s), nil
}

// Short is the first twelve characters, for people.
func (d Digest) Short() string { return string(d[:min(12, len(d))]) }
