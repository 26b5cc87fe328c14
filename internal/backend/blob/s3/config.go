package s3

import (
	"net/url"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
)

// Config says which bucket, where, and with which keys.
type Config struct {
	Endpoint string // host, or host:port; empty means AWS
	Region   string // empty lets the store say
	Bucket   string
	Prefix   string // all keys are below it; may be empty

	// AccessKey and SecretKey may be empty: then the environment
	// (AWS_ACCESS_KEY_ID…), ~/.aws/credentials and the machine's role are asked.
	AccessKey    string
	SecretKey    string
	SessionToken string // of temporary keys

	NoTLS bool // plain HTTP, for a store on this machine
}

func (c *Config) check() error {
	if c.Endpoint == "" {
		c.Endpoint = "s3.amazonaws.com"
	}
	if c.Bucket == "" {
		return slipway.Errorf(slipway.Invalid, "the name of the S3 bucket is missing")
	}
	if (c.AccessKey == "") != (c.SecretKey == "") {
		return slipway.Errorf(slipway.Invalid, "of the S3 access key and the secret key one is missing")
	}
	if prefix := strings.TrimSuffix(c.Prefix, "/"); prefix != "" {
		return blob.CheckKey(prefix)
	}
	return nil
}

// ParseURL reads s3://KEY:SECRET@HOST:PORT/BUCKET/PREFIX?region=R&tls=off. Keys
// may be left out. It fails with Invalid, never naming the secret.
func ParseURL(text string) (Config, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		return Config{}, slipway.Errorf(slipway.Invalid, "this is not an S3 address").
			WithHint("write s3://HOST/BUCKET/PREFIX, with KEY:SECRET@ before the host if needed")
	}
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	secret, _ := u.User.Password()
	c := Config{Endpoint: u.Host, Bucket: bucket, Prefix: prefix, AccessKey: u.User.Username(), SecretKey: secret}
	for name, values := range u.Query() {
		value := values[len(values)-1]
		switch {
		case name == "region":
			c.Region = value
		case name == "tls" && (value == "on" || value == "off"):
			c.NoTLS = value == "off"
		default:
			return Config{}, slipway.Errorf(slipway.Invalid, "the S3 address has the unknown setting %q", name+"="+value).
				WithHint("known are region=NAME and tls=on|off")
		}
	}
	return c, c.check()
}
