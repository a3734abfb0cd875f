package wal

// Log appends frames to the files of one epoch.
type Log struct{}

func (l *Log) Append(f Frame, sync bool) error { return errTodo }
func (l *Log) Sync() error                     { return errTodo }
func (l *Log) Rotate() error                   { return errTodo }
func (l *Log) Trim(below uint64) error         { return errTodo }
func (l *Log) Size() int64                     { return 0 }
func (l *Log) Close() error                    { return errTodo }
