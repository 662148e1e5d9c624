// Package translate answers where on the target a reader goes on that stands at an offset of the
// source.
//
// The central type is [Translator]. It guarantees, for a [Standing] whose ends were taken before its map:
//
//  1. the answer is exact, or says why there is none yet: it never guesses;
//  2. it never passes a record that somebody else wrote, nor the last stable offset. Where a flow in the opposite
//     direction carries back what began its way on the target, that is nobody else's: the answer is then by both maps
//     the first record of the target that the reader has not read on either side ([offsets.TwoWay]);
//  3. a reader that has read everything stands at the end, past our own markers: its lag is 0.
package translate
