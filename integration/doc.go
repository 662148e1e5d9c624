// Package integration holds the tests on real brokers: they run the built
// command against clusters of package cluster, with data of package workload, and
// believe only package judge. Nothing here is part of the product.
package integration
