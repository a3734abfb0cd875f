package objstore

import (
	"context"
	"fmt"
	"os"
	"time"
)

const (
	lockFile        = "lock"
	lockFirstDelay  = 200 * time.Microsecond
	lockLongestWait = 10 * time.Millisecond
)

// lock excludes all other replacements and removals in the bucket, of this process and of others. It is held over a
// read, a rename and a sync, never over the writing of data.
//
// flock can wait by itself, but not until a context ends, so the wait is a poll; goroutines of this process
// queue for it one behind the other and only the first polls.
func (f *File) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	file, err := f.lockBetweenProcesses(ctx)
	if err != nil {
		<-f.turn
		return nil, fmt.Errorf("lock bucket: %w", err)
	}
	return func() {
		// Closing the only descriptor of this open file gives the lock back.
		_ = file.Close()
		<-f.turn
	}, nil
}

func (f *File) lockBetweenProcesses(ctx context.Context) (*os.File, error) {
	for delay := lockFirstDelay; ; delay = min(2*delay, lockLongestWait) {
		file, err := f.tryLockFile()
		if file != nil || err != nil {
			return file, err
		}
		if err := pause(ctx, delay); err != nil {
			return nil, err
		}
	}
}

// tryLockFile returns neither file nor error if somebody else has the lock, or if the file that was locked is no longer
// the one that others will lock, because the folder was removed by hand.
func (f *File) tryLockFile() (*os.File, error) {
	var file *os.File
	err := f.inFolder(tempFolder+"/"+lockFile, func(path string) (err error) {
		file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		return err
	})
	if err != nil {
		return nil, err
	}
	locked, err := tryLock(file)
	if locked && sameFile(file) {
		return file, nil
	}
	_ = file.Close()
	return nil, err
}

func sameFile(file *os.File) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(file.Name())
	return err == nil && os.SameFile(opened, named)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
