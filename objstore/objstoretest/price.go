package objstoretest

import "github.com/logdb-go/logdb/objstore"

// List prices of S3 Standard in us-east-1. Requests that fail are billed like others; deletes are free.
const (
	dollarsPerPut = 0.005 / 1000 // and per List
	dollarsPerGet = 0.0004 / 1000
)

// Dollars is what the counted requests would have cost on S3 Standard in us-east-1, read from inside the region
// (bytes are free there). Storage is not in it.
func Dollars(c objstore.Counts) float64 {
	puts := c.Requests["put"] + c.Requests["list"]
	gets := c.Requests["get"] + c.Requests["get_range"]
	return float64(puts)*dollarsPerPut + float64(gets)*dollarsPerGet
}
