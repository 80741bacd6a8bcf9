package sandbox

import (
	"crypto/hmac"
	"time"
)

// skew is how far a request's clock may be from the cloud's.
const skew = 15 * time.Minute

// A claim is what a request says of who signed it, in whichever scheme.
type claim struct {
	id        string
	token     string // of STS
	signature string
	date      time.Time
	sound     bool                       // what is signed by its hash is what was hashed, for a scope that is one
	sign      func(secret string) string // the signature as it should be

	region    string // that the key is good for, where it is for one only
	text      string // that is signed, for those who are told of it
	canonical string // the request that the text is a hash of, where it is one
}

// A verdict is what the cloud thinks of a claim. Each API has its own words
// for it.
type verdict int

const (
	believed verdict = iota
	outOfTime
	unknownKey
	wrongToken
	mismatched
)

func (c *Cloud) weigh(claim claim) verdict {
	now := c.options.Now()
	switch {
	case claim.date.Before(now.Add(-skew)), claim.date.After(now.Add(skew)):
		return outOfTime
	case claim.id != c.options.AccessKeyID:
		return unknownKey
	case !equal(claim.token, c.options.SecurityToken):
		return wrongToken
	case !claim.sound, !equal(claim.signature, claim.sign(c.options.AccessKeySecret)):
		return mismatched
	}
	return believed
}

func equal(a, b string) bool {
	return hmac.Equal([]byte(a), []byte(b))
}
