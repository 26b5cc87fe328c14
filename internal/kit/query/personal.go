package query

import (
	"net/netip"
	"regexp"
	"strings"
)

// The kinds of personal data that texts are recognised as.
var personal = []struct {
	kind string
	is   func(string) bool
}{
	{"email", regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$`).MatchString},
	{"ip", func(s string) bool { _, err := netip.ParseAddr(s); return err == nil && strings.ContainsAny(s, ".:") }},
	{"ssn", regexp.MustCompile(`^\d{3}-\d{2}-\d{4}$`).MatchString},
	{"iban", regexp.MustCompile(`^[A-Z]{2}\d{2}[A-Z0-9 ]{11,38}$`).MatchString},
	{"card", isCard},
	{"phone", func(s string) bool {
		return phone.MatchString(s) && !date.MatchString(s) && countDigits(s) >= 8 && countDigits(s) <= 15
	}},
}

// phone needs a plus or separators: a plain number is no phone number.
var phone = regexp.MustCompile(`^(\+[\d ().-]+|\(?\d{2,4}\)?[ ./-]\d[\d ./-]+)$`)

func countDigits(s string) (n int) {
	for _, c := range s {
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

// date is written much like a phone number.
var date = regexp.MustCompile(`^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}`)

// isCard checks the digits of a payment card by Luhn's sum (ISO/IEC 7812).
func isCard(s string) bool {
	s = strings.NewReplacer(" ", "", "-", "").Replace(s)
	if len(s) < 13 || len(s) > 19 || countDigits(s) != len(s) {
		return false
	}
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// looksLike is the kind of personal data that nearly all of the first thousand
// different texts are, or "".
func looksLike(entries []textEntry) string {
	const most = 1000
	entries = entries[:min(len(entries), most)]
	if len(entries) < 3 {
		return ""
	}
	for _, p := range personal {
		hits := 0
		for _, e := range entries {
			if s := strings.TrimSpace(e.text); len(s) < 100 && p.is(s) {
				hits++
			}
		}
		if hits*10 >= len(entries)*8 {
			return p.kind
		}
	}
	return ""
}
