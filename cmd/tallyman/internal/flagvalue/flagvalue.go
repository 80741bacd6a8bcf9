// Package flagvalue has the kinds of values that flags of the command take
// beyond those of pflag: sizes, durations, points in time, shards, endpoints
// and others. Each implements pflag.Value, so the same text means the same as
// a flag, as a variable of the environment and in the configuration file.
//
// Set leaves a value as it was if it returns an error. The error says what the
// text must be, without quoting it.
package flagvalue
