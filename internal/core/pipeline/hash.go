package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/slipway-ml/slipway"
)

// digester hashes what is written to it.
type digester struct{ hash.Hash }

func newHash() digester { return digester{sha256.New()} }

func (d digester) digest() slipway.Digest { return slipway.Digest(hex.EncodeToString(d.Sum(nil))) }
