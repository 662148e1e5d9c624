// Package settings is how a flow is set up: what is copied from where to where, and how.
//
// The central type is [Config]: start from [DefaultConfig], and [Config.Validate] reports all that is wrong with
// it. It holds no secret and talks to nobody. Names that follow from it (the flow, its ledger, its group, its
// transactional ids) are made here alone.
package settings
