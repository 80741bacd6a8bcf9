// Package archive is the only door to the disk. An export gets its final name
// only after all of its bytes were proven; until then it stays in the ingest
// area, where readers do not look.
//
// An archive is a directory on one file system:
//
//	archive.json                    the archive's random ID
//	sls/cn-hangzhou/project/job/    an export that landed: a BagIt bag (RFC 8493)
//	    bagit.txt bag-info.txt manifest-sha256.txt tagmanifest-sha256.txt
//	    receipt.json                what was promised, and whether it held
//	    objects.jsonl               its objects, if there are more than 100
//	    data/...                    the content files
//	.damaged/KEY@TIME/              a bag that was damaged and replaced, as it was then; it is no export
//	.ledger/YYYY-MM.jsonl           what was asked for, landed, failed or was cancelled, and
//	                                what was seen to go; see [ledger]
//	.ingest/run/                    there while a process receives or commits
//	    locks                       a byte of it is locked for each export that is received
//	    RANDOM/                     what one process has in hand
//	        batch.jsonl             locked while it works: the batch that it commits
//	        starts.jsonl            the attempts that it began and that it ended
//	        HASH/                   the bag of an export of one small object
//	        removed-HASH/           a removal that it makes, with the bag on its way out
//	.ingest/HASH/                   an export of which something is kept for later attempts
//	    lock                        locked while a process works on the export, as earlier versions do
//	    state.json                  the record's state, durable
//	    first.json                  present while the first state.json may not be durable
//	    counts.json                 the record's counters, not durable
//	    pins.jsonl                  the pinned objects
//	    parts/NAME.wire             the bytes of one object as transferred
//	    parts/NAME.map              the part index of that object
//	    objects.jsonl               the object index
//	    repair.json                 the line that a repair ends with, before its bag is renamed
//	    bag/                        the bag that Commit will rename
//
// HASH is 32 hex digits of the SHA-256 of the export's key, and NAME of the object's
// name.
//
// [Open] builds a new archive as .tallyman-RANDOM beside its place and renames it, or
// gives archive.json to a directory that is there by one link, so that there is never
// half an archive. A crash may leave the .tallyman-RANDOM, which is nobody's.
//
// # Words
//
//   - Key: the path of an export in the archive, slash-separated.
//   - Object: one remote file of an export.
//   - Promise: what the job or the store said of an object's bytes.
//   - Attempt: one try at receiving an export, by one process. What it received
//     is kept for the next.
//   - Site: what there is in the place of an archive.
//   - Ingest: an export that an attempt receives, under the export's lock. It
//     persists what later attempts take up in .ingest/HASH. An object of up to 256 KiB
//     that is the only one of its export is received in memory, and persisted only if
//     the attempt fails.
//   - Run: what one process has in .ingest/run while any of its Ingests is open.
//   - Partial: one object that is being received.
//   - Wire: the bytes of an object as transferred. [verify.Wire] reads them, and
//     its io.EOF says that they are proven.
//   - Content: the files that a person gets: the wire, decoded. The wire itself
//     may be kept as a file beside them.
//   - Part: a range of an object's bytes that one goroutine receives in order.
//   - Missing range: bytes of an object that no part holds or receives yet.
//   - Part index: the list of the ranges that were received of an object, with
//     the CRC64 of each. A later attempt believes an entry only after it has
//     hashed the bytes again.
//   - Object index: the list of the objects that are done: received, proven and
//     decoded.
//   - Pin: a line that fixes one object of the export, so that later attempts
//     receive the same objects and no others.
//   - Phase: whether an export that has not landed is waiting, failed or cancelled.
//     The ledger tells it; state.json has it, too, for versions without a ledger. If
//     one of those wrote state.json last, what that says counts, and the next Save
//     writes the line.
//   - Record: what is kept of an export that has not landed: its state, which
//     is durable, and its counters, which a power cut may reset. An export that was
//     only asked for, and of which nothing was counted or received, has none.
//   - Reservation: disk space that an object may still fill and that other
//     objects of this process therefore cannot have.
//   - Commit: the steps that make an export land: write the tag files, sync, one
//     rename, sync, and its line in the ledger.
//   - Batch: exports that are ready at the same time and share the syncs of their
//     commits.
//   - Bag: the directory of an export that landed, in the BagIt format.
//   - Receipt: the file of the bag that says what was promised and whether it
//     held.
//   - Doubt: a reason to look twice at an export that landed.
//   - Presence: what the last line of the ledger says of whether an export is in its
//     place.
//   - Adoption: giving lines to what landed before there was a ledger.
//   - Audit: rechecks that hold the bags against the ledger, and the ledger's own chain.
//   - Recheck: hashing a bag again to prove that it is as it was when it landed.
//   - Testimony: what the source itself counted in the window of an export, and the
//     verdict that follows from it.
//   - Damage: what a recheck found wrong, or that an export is absent: it landed and has
//     no bag.
//   - Repair: receiving an export anew that is damaged or absent. It has the key
//     KEY@repair until its bag takes the place of the old one, which is put aside.
//   - Former: what is known of the export that a repair replaces.
//   - Newer: of a bag that landed after the last line of the ledger.
//   - Removal: taking an export out of the lists, for a reason that a person gives. It is
//     not missed then, and only who asks for it by name gets it again.
//   - Acceptance: that a person takes a doubt, a failure or a place that can't be listed as
//     it is. It is bound to that one, and never holds for a later one.
//   - Durable: still there after a power cut.
//
// # Commit
//
// The bytes of an object reach a content file only through a [verify.Wire].
// [Ingest.Commit] takes no verdict from its caller: it uses the verdicts of the
// wires. What a crash leaves after each step, and who clears it up:
//
//	a part is received         .ingest/HASH/parts, not synced: the next attempt hashes it again
//	a content file is closed   synced; the object is not done yet, so the next attempt writes it anew
//	a kept wire is linked      synced before its link; likewise
//	an object is done          a line of the object index, synced: the next attempt keeps the object
//	Commit writes tag files    not synced; the next attempt writes them anew
//	Commit lists its batch     a batch.jsonl whose bags have no final names; the next process removes it
//	Commit syncs bag and list  with their directories, and those of the other bags of the batch
//	Commit renames the bag     the export is complete; who looks for it, and the next process, find it
//	                           in the batch, sync the parents and append its line
//	Commit syncs the parents   the export is complete and durable; likewise
//	Commit appends its line    the export has landed; the next to lock it removes .ingest/HASH, and
//	                           the next process .ingest/run/RANDOM
//
// A repair is received under a key of its own, KEY@repair, while the old bag stays. If it
// is not what landed, as far as that is known, it is dropped. Else its commit has a step
// more:
//
//	it writes repair.json      durable; the bag has no final name: the next repair writes it anew
//	it puts the old bag aside  one rename, durable before the next: the export is absent, and the next
//	                           repair finds in .damaged what is known of it
//	Commit renames the bag     as above; should the disk fail, and not the process, the next repair finds
//	                           the line in repair.json
//
// A removal, too, is finished by the next process if it is cut short:
//
//	it writes removed-HASH     durable; the ledger was not told: the next process removes it
//	it appends its line        the export counts as removed; the next process goes on
//	it moves the bag into it   one rename, durable; a damaged bag that is to be kept goes to .damaged
//	it removes .ingest/HASH    and then removed-HASH; the next process goes on
//
// A small file that changes, such as state.json, is written beside itself with the
// suffix .new and renamed: a crash leaves the old or the new bytes. The first
// state.json is written as first.json and linked, so that of two attempts one
// creates it; a first.json that was left is removed by the next.
//
// # Resume
//
// The part index may outlive the bytes that it lists, after a power cut for
// example. Therefore all listed bytes are hashed again before they count as
// received.
package archive
