// Package page shows flows in a browser, and as JSON: what status knows, what has been in the last hours, and the
// translation of an offset.
//
// The central type is [Page]. It guarantees:
//
//  1. it only answers questions, and loads nothing from elsewhere;
//  2. all who watch share one look at the clusters, which is taken only while somebody asks, and takes up no more than
//     a part of the time; its age is told with it;
//  3. what could not be looked at is told as that: an older answer never stands in for it;
//  4. what it shows of a flow is what `status --json` prints of it, in the same types.
//
// It decides nothing about flows, and shows neither properties of clusters nor anything of the configuration but names.
package page
