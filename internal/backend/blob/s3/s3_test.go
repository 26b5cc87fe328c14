package s3_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/backend/blob/blobtest"
	"github.com/slipway-ml/slipway/internal/backend/blob/s3"
)

// TestBucket needs a store: SLIPWAY_TEST_S3=s3://key:secret@127.0.0.1:7480/bucket?tls=off.
func TestBucket(t *testing.T) {
	address := os.Getenv("SLIPWAY_TEST_S3")
	if address == "" {
		t.Skip("SLIPWAY_TEST_S3 is not set")
	}
	c, err := s3.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	makeBucket(t, c)
	for name, part := range map[string]int64{"one request": 128 << 20, "in parts": 5 << 20} {
		t.Run(name, func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) blob.Bucket {
				c := c
				c.Prefix = strings.TrimPrefix(c.Prefix+"/test-"+strings.ToLower(rand.Text()[:10]), "/")
				b, err := s3.Open(c)
				if err != nil {
					t.Fatal(err)
				}
				s3.SetPart(b, part)
				return b
			})
		})
	}
}

func makeBucket(t *testing.T, c s3.Config) {
	client, err := minio.New(c.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""), Secure: !c.NoTLS})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := client.BucketExists(t.Context(), c.Bucket); err != nil {
		t.Fatal(err)
	} else if ok {
		return
	}
	if err := client.MakeBucket(t.Context(), c.Bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]s3.Config{
		"s3://key:sec%2Fret@127.0.0.1:7480/bucket?tls=off": {Endpoint: "127.0.0.1:7480", Bucket: "bucket", AccessKey: "key", SecretKey: "sec/ret", NoTLS: true},
		"s3://s3.example.org/b/deep/er/?region=eu-1":       {Endpoint: "s3.example.org", Bucket: "b", Prefix: "deep/er/", Region: "eu-1"},
	} {
		got, err := s3.ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
	for _, text := range []string{"", "http://host/bucket", "s3://", "s3://host", "s3://host/", "s3://key@host/b", "s3://host/b?tls=maybe",
		"s3://host/b?color=red", "s3://host/b/../c", "s3://key:topsecret@ho st/b"} {
		_, err := s3.ParseURL(text)
		if !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%q: %v", text, err)
		} else if strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%q: the error tells the secret: %v", text, err)
		}
	}
}

// What a store answers becomes a code that the caller can act on.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		code   string
		want   slipway.Code
	}{
		"no key":       {404, "NoSuchKey", slipway.NotFound},
		"no bucket":    {404, "NoSuchBucket", slipway.Unavailable},
		"no access":    {403, "AccessDenied", slipway.Unavailable},
		"wrong secret": {403, "SignatureDoesNotMatch", slipway.Unavailable},
		"a defect":     {400, "Strange", slipway.Unavailable},
		"there is one": {412, "PreconditionFailed", slipway.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(c.status)
				w.Write([]byte("<Error><Code>" + c.code + "</Code><Message>no</Message></Error>"))
			}))
			defer server.Close()
			b, err := s3.Open(s3.Config{Endpoint: strings.TrimPrefix(server.URL, "http://"), Bucket: "bucket", Region: "x",
				AccessKey: "k", SecretKey: "s", NoTLS: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Create(t.Context(), "key", strings.NewReader("v"), 1); !slipway.IsCode(err, c.want) {
				t.Errorf("Create: %v", err)
			}
			if _, err := b.Get(t.Context(), "key", 0, -1); !slipway.IsCode(err, c.want) {
				t.Errorf("Get: %v", err)
			}
		})
	}
}
