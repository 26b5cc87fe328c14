package s3

// SetPart makes objects above n bytes go up in parts.
func SetPart(b *Bucket, n int64) { b.part = n }
