// Code generated from log.proto. DO NOT EDIT.

package logpb

// generatedFrom is the SHA-256 of the log.proto that the code was generated from.
const generatedFrom = "9db7cab7062c550415971cae5603c39a522115803ac0fa6c70e1b55df7d7051a"
