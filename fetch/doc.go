// Package fetch makes one attempt at one export: it asks the job, receives what
// the job yielded, checks every byte and every record against what was
// promised, and commits the result to an archive. It knows no queue, and it
// never waits for a job: who calls [Fetcher.Fetch] decides when to try again.
//
// # The straight path
//
// [Fetcher.Fetch], in fetch.go, and receive, in receive.go, are the program:
//
//	Ref → landed already? → Provider.Export → Archive.Begin → for each object:
//	    open    take up the parts that are here, reserve space, first request
//	    decode  Wire (parts that are here, then missing ranges) → content files
//	    judge   the wire's verdict, then the decoder's
//	→ Commit
//
// A transfer (transfer.go) receives the missing parts by several requests at
// once; each request (request.go) has a slot, an idle timeout and a minimum speed
// (timeout.go), and a source that refreshes an expired URL (source.go). Package
// decode, in internal, turns the wire into content files.
//
// # Words
//
//   - A reference ([Ref]) names an export. Its [Scheme] says how it is written, and
//     comes with the provider's package. A place is a reference without its last
//     part; a [Lister] finds the exports in it. The revision of a reference sets a
//     second fetch of the same export apart from the first.
//   - A job is the provider's; it yields an [Export], which is one or more objects.
//     An [Object] is one remote file. A snapshot is an export whose objects are
//     those that were there at the first attempt. Under a prefix no job promised
//     them together: one that can't land is left out, and a doubt names it.
//   - A [Provider] answers for the jobs of one service. A [Source] reads a [Range]
//     of one version of an object: its answer to one request.
//   - A part is the piece of an object that one range request is to fill. A slot is
//     the right to one request in flight; an attempt has [Fetcher].Parallel of them.
//   - A target is an object with the names of its content in the archive. A
//     transfer receives the parts of a target.
//   - The wire is an object's bytes as transferred, content is what they decode to.
//     A promise ([verify.Want]) is what a job, a store or a reference says of the
//     wire. A doubt is a reason to look twice at what landed.
//   - To refresh is to ask the job for a new URL when the old one has expired.
//   - The status cache ([StatusCache]) answers for many pending jobs of a place by
//     one listing; a watch is what it knows of a place. The ready cache keeps what
//     Poll found ready for the Fetch that follows.
//   - The idle timeout ends a request whose store sends nothing; the minimum speed
//     ends those of an object that comes too slowly ([SlowError]).
//   - The hard context is the one that Fetch is called with: its end stops the
//     attempt now. The soft context, [Fetcher].Soft, drains: nothing new is
//     started, what is in flight is finished and kept, and the attempt fails with
//     [ErrDrained].
//   - A local error is a failure of our own disk or program: it says nothing of the
//     object.
//   - A [Window] is the time that an export spans. Windows of one group, such as a log
//     store and a query, can be compared. A [Witness] counts by itself what a window
//     holds; [Testify] holds that against what landed.
//   - A [Creator] makes jobs. A [Creation] is what one is to be made for, and its name
//     follows from all of it.
package fetch
