// Code generated from log.proto. DO NOT EDIT.

package logpb

// generatedFrom is the SHA-256 of the log.proto that the code was generated from.
const generatedFrom = "536d77751b78fc39fc309c732798e6814d7c519963e734ac12a75d8ab216c5b8"
