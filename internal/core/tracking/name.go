package tracking

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"strconv"
)

// Words for runs that nobody named: people remember "calm-harbour-412" better
// than an id.
var (
	nameMood  = []string{"able", "bold", "brave", "bright", "brisk", "calm", "clear", "clever", "crisp", "deft", "eager", "fair", "fleet", "fond", "gentle", "glad", "grand", "happy", "hardy", "keen", "kind", "lively", "lucky", "mellow", "merry", "mild", "neat", "noble", "plucky", "proud", "quick", "quiet", "ready", "sharp", "smooth", "sound", "steady", "stout", "sunny", "swift", "tidy", "warm", "wise", "witty"}
	nameThing = []string{"anchor", "atoll", "barge", "bay", "beacon", "boom", "bow", "breeze", "brig", "buoy", "canoe", "cape", "clipper", "compass", "coral", "cove", "current", "deck", "dock", "dory", "ferry", "fjord", "galley", "gull", "harbour", "helm", "hull", "island", "jetty", "keel", "ketch", "lagoon", "lighthouse", "mast", "oar", "pier", "port", "quay", "reef", "rudder", "sail", "schooner", "shoal", "skiff", "sloop", "sound", "stern", "strait", "tide", "tiller", "tug", "wake", "wharf", "yawl"}
)

// madeUpName is a name for a run that has none.
func madeUpName() string {
	return nameMood[dice(len(nameMood))] + "-" + nameThing[dice(len(nameThing))] + "-" + strconv.Itoa(dice(1000))
}

func dice(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		return 0 // crypto/rand never fails on the systems that we build for
	}
	return int(i.Int64())
}

// freshID is 32 random hexadecimal characters.
func freshID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
