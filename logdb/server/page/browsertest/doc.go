// Package browsertest has the tests of the page in a real Chromium: a module of
// its own, because what drives the browser is nothing that the log depends on.
// Without a browser they are skipped, but not where CI is set. With a directory
// in PAGE_SHOTS they leave pictures there.
package browsertest
