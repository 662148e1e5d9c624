// Package selection says whether patterns choose anything, before a verb answers by them: an answer about nothing
// would be taken for a yes.
//
// [Claims] are the patterns of a command and of the file; [Claims.Hold] compares them with the names on the clusters.
// A pattern of a command has to choose something in one of the flows, those of the file each; what chooses nothing is
// an error with the names that may have been meant. Nothing is changed.
package selection
