// Code generated from log.proto. DO NOT EDIT.

package logpb

// generatedFrom is the SHA-256 of the log.proto that the code was generated from.
const generatedFrom = "73eed40ac58d8b367600030a7d9543e1bcef83483f9f56a6a675af4ff9a1dd29"
