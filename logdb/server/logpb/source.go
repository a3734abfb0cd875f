// Code generated from log.proto. DO NOT EDIT.

package logpb

// generatedFrom is the SHA-256 of the log.proto that the code was generated from.
const generatedFrom = "48fa76d8cf3aacfbb3f33ea948bf192d09cd3b13f692512f3a5c3b074f3fafd7"
