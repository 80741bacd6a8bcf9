// Package decode turns the bytes of one object, as transferred, into content
// files: it recognizes the format, decodes it, checks it, and writes what it
// holds.
//
// Its words:
//
//   - The wire is the reader of the bytes as transferred. It ends with io.EOF only
//     if they are what was promised; any other error is its verdict.
//   - The content is what the wire decodes to. A content file is one file of it.
//   - A format is how an object is encoded: a codec (zstd, gzip, lz4) or a zip. A
//     new codec is one entry of the table formats.
//   - A container is a zip or a tar. Each of its entries becomes a content file.
//     Containers within a container are not opened.
//   - The first bytes choose the format. Names and declarations only say what the
//     format ought to be: if the bytes disagree, the object is mislabelled.
//   - An object is checked if checksums of the codec's own cover all of its bytes.
//   - The decode limit is how many bytes an object may decode to.
//   - An error page is what a store, a service or a proxy sent in place of the
//     object, with a status of success.
//   - A local error is a failure of this machine: of its disk, or a panic. It says
//     nothing about the object.
//
// The bytes take this way through [Run]:
//
//	wire → read-ahead → format by magic bytes → codec → decode limit →
//	read-ahead → tar or a single file → content files
//
// A zip can only be read as a whole: its wire is read to the end first, and
// then the zip is unpacked from the disk.
package decode
