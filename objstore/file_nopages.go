//go:build !linux

package objstore

import "os"

func forget(*os.File, int64, int64) {}
