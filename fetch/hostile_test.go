package fetch_test

// The threats from hostile input and from faults, and under each the tests of the
// defence against it, in this package and in others.
//
// Names:
//
//	that lead outside the bag: ../x, /x, a/../x, ..\x, C:x, ~/x
//		TestUnsafeNamesAreRefused, TestUnusableContainersAreRefusedAndLeaveNothing,
//		TestHostileFilesAreRefusedOrLandAsOthersReadThem, FuzzZip, FuzzTar
//	with NUL, control, bidi or invisible characters, or not in UTF-8
//		TestUnsafeNamesAreRefused, TestNamesThatSomeSystemCanNotHoldAreEscaped
//	in a legacy code page and in UTF-8, which may be two
//		TestTheUnicodePathIsTheNameOfTheEntry, TestExtraFieldsMustParseAndHideNothing
//	that some system takes for a device, a stream or an option: CON, COM¹, a:b, -rf
//		TestNamesThatSomeSystemCanNotHoldAreEscaped, TestPlainNamesAreAccepted,
//		TestEscapePortableEscapesWhatOnlySomeSystemsCanHold
//	that end in dots or spaces, or are empty, too long or too many
//		TestNamesThatSomeSystemCanNotHoldAreEscaped, TestUnsafeNamesAreRefused, TestAllNamesTogetherAreBounded,
//		TestWhiteSpaceAtTheEndOfAnElementIsEscaped
//	that differ only in case or normal form, or are those of a file and a directory
//		TestNamesThatDifferInCaseOrNormalFormGetDifferentFiles, TestNamesThatCollideOnSomeFileSystemAreRefused,
//		TestOneNameIsOneFile
//	of links, devices, pipes, and programs with setuid
//		TestOnlyPlainFilesAndDirectoriesAreUnpacked, TestOnlyFilesAndDirectoriesOfATarAreUnpacked
//	of jobs, prefixes and objects that are no valid names of files
//		TestEscapeEscapesUnsafeCharacters, TestObjectsWhoseNamesCollideGetDifferentOnes,
//		TestObjectsWhoseNamesCollideAreRefusedUnlessTheyAreListed, TestAnObjectNeverGetsTheNameOfAnother,
//		TestDifferentExportsHaveDifferentKeys, TestKeysOfASchemeHaveOneDepth,
//		TestContentNamesStayInTheBagAndFitItsManifest, FuzzEscape, FuzzKeyIsInjective
//	of another codec than that of the content
//		TestAMislabelledObjectLandsWithADoubtOrNotAtAll, TestKeepWireLandsAMislabelledObjectWithADoubt,
//		TestNamesAndDeclarationsOfACodecAreIgnored, TestADamagedMagicNumberIsCorrupt
//
// Containers:
//
//	local and central headers of a zip that differ: name, CRC, size, method
//		TestLocalHeadersMustAgreeWithTheDirectory, TestDataDescriptorsOfEveryFormAreRead,
//		TestExtraFieldsMustParseAndHideNothing
//	headers of a tar that contradict each other or are repeated
//		TestContradictingTarHeadersAreCorrupt, TestOnlyFilesAndDirectoriesOfATarAreUnpacked
//	a zip with a wrong size of its directory, several disks, two end records, bytes before or behind
//		TestEndRecordsMustFitTheFile, TestTruncatedZipsAreRefused, TestTarsWithoutAProperEndAreCorrupt
//	zip64 records, true and false ones
//		TestZip64RecordsMustAgreeWithTheEndRecord, TestZip64BlocksMustFitTheirHeaders, TestAZipOver4GiBUnpacks
//	encryption, and unknown flags and methods
//		TestUnknownFeaturesAreRefusedByName, TestEveryFlagAndMethodIsReadOrRefused
//	directories with content, content that differs from its header
//		TestOnlyPlainFilesAndDirectoriesAreUnpacked, TestContentThatDiffersFromItsHeaderIsCorrupt,
//		TestNoMoreIsWrittenThanDeclared
//	entries that are repeated or overlap, up to bombs
//		TestNamesThatCollideOnSomeFileSystemAreRefused, TestOverlappingEntriesAreRefused,
//		TestOverlapBombsAreRefusedBeforeInflating, TestBombsOfAnySizeAreRefusedInLittleMemory
//	bombs of one entry, of many entries, of names
//		TestZipsOverALimitAreRefused, TestTarsOverALimitAreRefused, TestErrorsSayWhichLimitWasExceeded,
//		TestTheRatioCountsAllEntriesTogether, TestMemoryOfTheLargestDirectoriesIsBounded
//	one file that is two: a gzip and a zip, a zip and a tar
//		TestAPolyglotIsRefused, TestATarThatBeginsAsAZipIsRefused
//	containers in containers
//		TestWhatIsInAContainerIsNotOpenedFurther, TestHonestZipsUnpack
//
// Streams:
//
//	bombs of a codec, of known and unknown length
//		TestBombsAreRefusedWithTheLimitThatTheyExceed, TestBombOfUnknownLengthIsRefused,
//		TestContentWithinTheLimitLands
//	windows and headers that need much memory
//		TestLargeWindowsAreRefused, TestZstdWindowsOver128MiBAreRefused, TestEndlessHeadersAreCorrupt,
//		TestAWindowOverAllMemoryIsRefusedWithTheLimit, TestManyLargeWindowsStayWithinTheBudget
//	empty objects
//		TestMutatedFilesAreCorruptUnlessTheirFormatAllowsIt, TestMislabelledObjectsAreRefusedUnlessTheyAreOfTheNamedType,
//		TestEmptyObjectLandsHoweverTheStoreAnswers
//	a file cut between two frames
//		TestMutatedFilesAreCorruptUnlessTheirFormatAllowsIt, TestAFileCutBetweenFramesBreaksThePromisedSize
//	a file cut elsewhere, a byte short, or without its checksum
//		TestMutatedFilesAreCorruptUnlessTheirFormatAllowsIt, TestTruncatedFilesAreCorrupt
//	text or 512 zeros behind the end
//		TestMutatedFilesAreCorruptUnlessTheirFormatAllowsIt, TestBytesBehindTheLastFrameAreCorrupt,
//		TestBytesBehindASkippableFrameAreCorrupt
//	joined and skippable frames, which are legal
//		TestMutatedFilesAreCorruptUnlessTheirFormatAllowsIt, TestConcatenatedFramesAreDecodedAsOneFile
//	a wrong checksum
//		TestWrongChecksumIsCorrupt, TestAMismatchIsReportedBeforeWhatTheDecoderFound
//	flipped bits, with a checksum of the codec and without
//		TestNoFlippedBitLands, TestFlippedBitsInCheckedFilesAreSeen,
//		TestFlippedBitsNeverChangeTheContent
//	files that crashed or confused other decoders
//		TestBadZstdFilesAreRefused, TestFilesThatCrashedAnEncoderAreNoZstd,
//		TestGoodZstdFilesDecodeAsByThePlainDecoder, TestZstdFilesFoundByFuzzingAreRefusedOrDecodeAsByThePlainDecoder,
//		TestZipsFoundByFuzzingAreRefusedOrReadAlike, TestEachTestFileOfTheStandardLibraryHasItsVerdict,
//		TestEachTestFileOfTheLZ4DecoderHasItsVerdict, TestGzipFilesDecodeAsByTheStandardLibrary, FuzzDecode,
//		FuzzZstdAgreesWithThePlainDecoder, FuzzLZ4Frames
//
// Transfers:
//
//	other bytes than were promised, ETags of every form
//		TestBytesThatBreakAPromiseAreAMismatchAndNeverEOF, TestEveryPromiseMustHold,
//		TestAnETagOfPartsDoesNotProveOtherBytes, TestAnETagIsBelievedUnlessSomethingBetterProvesTheBytes,
//		TestAnObjectWithoutAPromiseIsUnproven
//	wrong lengths, ranges, encodings and answers
//		TestEachFaultOfAStoreHasItsOutcome, TestContentRangeIsReadAsItIsMeant,
//		TestAFetchFromAStoreWithoutRangesIsResumed, TestAnObjectReplacedBetweenAttemptsStartsOver
//	an error page instead of the data
//		TestAnErrorPageIsReportedByItsCodeAndMessage, TestDataThatLooksLikeAnErrorPageLands, FuzzPage,
//		TestAnErrorInJSONIsReportedByItsCodeAndMessage, TestATextOfAProxyIsNeverProven
//	addresses of our own network, and names that resolve to them
//		TestCheckAllowsOnlyNamedHostsAndDomains, TestOnlyPublicAddressesAreDialled,
//		TestNamesOfPrivateAddressesAreNotAsked, TestEveryResolvedAddressIsChecked,
//		TestAllowedHostsMayBePrivateButNotMetadata, TestEveryCallKeepsToTheHosts
//	redirects
//		TestARedirectSendsNoReferer, TestRedirectsAreChecked, TestNoCallIsRedirected,
//		TestEachFaultOfAStoreHasItsOutcome
//	stores that are slow, silent or send without end
//		TestBucket, TestAnEndlessObjectIsCutOffAtItsSize,
//		TestDrainCutsAnEndlessAnswer, TestASlowStoreFailsWithItsRate,
//		TestAStoreThatAnswersByteByByteIsSlow, TestASmallObjectLandsOverASlowLink,
//		TestAnObjectOfUnknownLengthEndsAtMaxSize, TestASizeAboveMaxSizeIsRefusedBeforeAByteIsKept,
//		TestNoAnswerOfAServiceIsReadForEver, TestEndlessListingsAreRefused
//	clocks that are wrong
//		TestASkewedClockIsNamedWithItsError, TestASkewedClockIsNamedByEveryService
//
// Secrets:
//
//	in output, errors, logs, Redis, receipts and the files of failed attempts
//		TestNoSecretIsShownOrKept, TestNoSecretOfTheOtherServicesIsShownOrKept,
//		TestNoSecretThatAStoreQuotesIsShownOrKept, TestNoCommandSaysASecret,
//		TestNoSecretIsInTheQueueOrWhatItsWorkersSay, TestAFailedAttemptLeavesNoSecretOfAURL,
//		TestTextMasksErrorsOfNetHTTP, TestLibrariesAreHeardOnlyInTheDebugLog,
//		FuzzTextMasksSignatures, FuzzParseRefTellsNoSecret, FuzzNewRedisClientErrorsHoldNoPassword
//	escaped, encoded, quoted
//		TestKnownSecretsAreMaskedInEveryForm, TestKnownSecretsAreMaskedInBase64, FuzzTextMasksEveryFormOfAKnownSecret
//	in panics and core dumps
//		TestAPanicOfACommandIsReportedWithoutSecrets,
//		TestAPanicInAnyGoroutineFailsTheAttemptWithoutASecret, TestNoCoreIsDumped
//
// Disks:
//
//	any one step of a fetch that fails, or all from it on
//		TestAFetchIsWholeOrAbsentWhicheverStepFails, TestAWorkersFetchIsWholeOrAbsentWhicheverStepFails,
//		TestAnExportIsWholeOrAbsentAfterAnIOError, TestAFailureOfOurDiskEndsTheAttemptAtOnce
//	a power cut or a crash, after which what was not synced is lost
//		TestAFetchIsWholeOrAbsentAfterAPowerCut, TestAnExportIsWholeOrAbsentAfterAPowerCut,
//		TestAnExportIsWholeOrAbsentAfterACrash, TestALandedExportOutlivesACrashAndALaterPowerCut
//	an fsync that fails
//		TestBytesThatFailedToSyncAreReceivedAgain
//	too little space, known before the transfer
//		TestAnObjectIsReceivedOnlyIfTheDiskHasSpace, TestWithoutDiskSpaceNothingIsRequested,
//		TestWithoutDiskSpaceNothingIsUnpacked, TestTwoObjectsNeverReserveTheSameSpace
//	no space, inodes or quota left during the transfer
//		TestAFullDiskLosesNothing, TestAFullFileSystemLosesNothing,
//		TestADiskThatHoldsNoMoreFilesIsFull, TestFailuresOutsideAnExportUseNoAttempt
//	read-only, not a directory, without locks or hard links
//		TestAReadOnlyArchiveLosesNothing, TestAnArchiveThatCantBeWrittenToIsNamed,
//		TestAnUnwritableArchiveIsAPathError, TestTheErrorSaysWhatTheFileSystemLacks
//	names and paths that are too long for the file system
//		TestNamesTooLongForTheDiskAreRefusedBeforeTheTransfer, TestKeysTooLongForTheDiskAreRefused
//	no more file descriptors
//		TestFewOpenFilesLoseNothing, TestRunningOutOfFileDescriptorsDropsNoObject,
//		TestFilesAreClosedHoweverAFetchEnds, TestNoFileStaysOpen
//	bytes that change on disk
//		TestRecheckNamesEachDamage, TestPartsThatChangedOnDiskAreFetchedAgain,
//		TestPartIndexEntriesCountOnlyIfTheBytesMatch
//
// Processes and the queue:
//
//	workers and Redis that are killed, stopped or cut off at any moment
//		TestChaosLosesNothing, TestAKilledProcessLosesOnlyWhatIsInFlight,
//		TestAWorkerThatIsToStopEndsAtAPointToGoOnFrom, TestAWorkerEndsWhenItsDrainIsOver
//	an export that kills its workers
//		TestAnExportThatKillsEachWorkerIsGivenUp, TestAnExportThatKillsItsWorkersFails,
//		TestCrashesWithProgressAreUnlimited, TestAPanicIsAFailedAttempt
//	two workers for one export
//		TestOneExportIsFetchedByOneWorkerAtATime, TestOneAttemptAtATimeAcrossProcesses,
//		TestOfManyAttemptsOneCommits, TestProcessesThatRaceLeaveAWholeBag,
//		TestAProcessThatFindsAnExportBusyDoesNotFailIt
//	unreadable tasks and records
//		TestUnreadableTasksAreQuarantined, TestUnreadableDiscoverTasksAreQuarantined, TestMessagesThatAreNoTasksBlockNothing,
//		TestATaskWithoutALeaseGoesToAnotherWorker, TestADamagedRecordKeepsNoExportFromLanding, FuzzParseTask
//	a Redis that is down, emptied, read-only, full, silent, or serves another archive
//		TestTwoMinutesWithoutRedisUseNoAttempt, TestATroubleOfRedisPasses,
//		TestAWorkerThatRedisKeepsWaitingEndsInTime, TestAWorkerBringsBackWhatRedisLost,
//		TestAWorkerStopsIfRedisServesAnotherArchive, TestCheckRedisRefusesAnUnsuitableRedis
//	administration pages and new dependencies
//		there are none: nothing but the sandbox listens, which is for this machine alone;
//		TestOnePackageImportsEachSDK, TestImportsRunInOneLine, and CI asks govulncheck

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// A mutation makes a damaged or unusual file of the two halves of a good one.
type mutation struct {
	name    string
	apply   func(first, second []byte) []byte
	legalIn string // the formats in which the result is legal
}

var mutations = []mutation{
	{"nothing", func(_, _ []byte) []byte { return nil }, "zstd zstd- gzip lz4 lz4- zip tar"},         // it lands as an empty file, with a doubt
	{"cut behind the first half", func(a, _ []byte) []byte { return a }, "zstd zstd- gzip lz4 lz4-"}, // only the length tells
	{"cut in the first half", func(a, _ []byte) []byte { return a[:len(a)/2] }, ""},
	{"cut in the second half", func(a, b []byte) []byte { return slices.Concat(a, b[:len(b)/2]) }, ""},
	{"one byte short", func(a, b []byte) []byte { return slices.Concat(a, b[:len(b)-1]) }, ""},
	{"without its last four bytes", func(a, b []byte) []byte { return slices.Concat(a, b[:len(b)-4]) }, ""}, // which is the checksum
	{"one byte more", func(a, b []byte) []byte { return slices.Concat(a, b, []byte{0}) }, "tar"},            // padding
	{"zeros behind it", func(a, b []byte) []byte { return slices.Concat(a, b, make([]byte, 512)) }, "tar"},
	{"text behind it", func(a, b []byte) []byte { return slices.Concat(a, b, []byte("AND MORE\n")) }, ""},
	{"two joined", func(a, b []byte) []byte { return slices.Concat(a, b, a, b) }, "zstd zstd- gzip lz4 lz4-"},
	{"a skippable frame first", func(a, b []byte) []byte { return slices.Concat(skippable, a, b) }, "zstd zstd- lz4 lz4-"},
	{"a skippable frame between", func(a, b []byte) []byte { return slices.Concat(a, skippable, b) }, "zstd zstd- lz4 lz4-"},
	{"a skippable frame last", func(a, b []byte) []byte { return slices.Concat(a, b, skippable) }, "zstd zstd- lz4 lz4-"},
	{"a skippable frame cut short", func(a, b []byte) []byte { return slices.Concat(a, b, skippable[:10]) }, ""},
	{"another codec's frame", func(a, b []byte) []byte { return slices.Concat(a, b, otherCodec) }, ""},
}

var (
	skippable  = append(binary.LittleEndian.AppendUint32([]byte("\x5a\x2a\x4d\x18"), 40), make([]byte, 40)...)
	otherCodec = []byte("BZh91AY&SY")
)

// halves returns the two halves of a file in each format. Where the format has
// frames or members, each half is one.
func halves(t testing.TB) map[string][2][]byte {
	all := map[string][2][]byte{}
	for _, codec := range []string{"zstd", "zstd-", "gzip", "lz4", "lz4-"} {
		all[codec] = [2][]byte{encode(t, codec, rows[:3000]), encode(t, codec, rows[3000:])}
	}
	for name, whole := range map[string][]byte{"zip": zipOf(t, 8, twoFiles...), "tar": tarOf(t, twoFiles...)} {
		all[name] = [2][]byte{whole[:len(whole)/2], whole[len(whole)/2:]}
	}
	return all
}

var suffixes = map[string]string{"zstd": ".csv.zst", "zstd-": ".csv.zst", "gzip": ".csv.gz", "lz4": ".csv.lz4", "lz4-": ".csv.lz4", "zip": ".zip", "tar": ".tar"}

func legal(d mutation, format string) bool { return slices.Contains(strings.Fields(d.legalIn), format) }

// The store has the file so, and promises its hash.
func TestMutatedFilesAreCorruptUnlessTheirFormatAllowsIt(t *testing.T) {
	if testing.Short() {
		t.Skip("it decodes much")
	}
	for format, half := range halves(t) {
		for _, d := range mutations {
			t.Run(format+"/"+d.name, func(t *testing.T) {
				f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("e"+suffixes[format], d.apply(half[0], half[1]))))
				_, err := fetchOnce(t, f)
				switch {
				case legal(d, format) && err != nil:
					t.Errorf("%v", err)
				case !legal(d, format) && (!errors.Is(err, fetch.ErrCorrupt) || isMismatch(err) || len(kindsOf(err)) != 1):
					t.Errorf("%v, want %v", err, fetch.ErrCorrupt)
				}
				if err != nil {
					checkAbsent(t, f, exportKey)
				}
			})
		}
	}
}

// A file that was damaged in transfer is a mismatch, never a corrupt file.
func TestAMismatchIsReportedBeforeWhatTheDecoderFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it decodes much")
	}
	for format, half := range halves(t) {
		whole := slices.Concat(half[0], half[1])
		for _, d := range mutations {
			damaged := d.apply(half[0], half[1])
			s := fetchtest.NewMemory(&fetchtest.File{Name: "e" + suffixes[format], Body: damaged, Promise: func(verify.Want) verify.Want {
				return verify.Want{Size: verify.Unknown, CRC64: crcOf(whole)}
			}})
			f := newMemoryFetcher(t, s)
			if _, err := fetchOnce(t, f); !isMismatch(err) || len(kindsOf(err)) > 0 {
				t.Errorf("%s, %s: %v, want a mismatch", format, d.name, err)
			}
			checkAbsent(t, f, exportKey)
		}
	}
}

func TestWrongChecksumIsCorrupt(t *testing.T) {
	tarred := tarOf(t, twoFiles...)
	for name, c := range map[string]struct {
		body []byte
		at   int // from the end if negative
	}{
		"e.csv.zst": {encode(t, "zstd", rows), -1},
		"e.csv.gz":  {encode(t, "gzip", rows), -6},
		"e.csv.lz4": {encode(t, "lz4", rows), -1},
		"e.zip":     {zipOf(t, 0, twoFiles...), 60},
		"e.tar":     {tarred, 150},
		"f.tar":     {tarred, bytes.Index(tarred, []byte("d/b.jsonl")) + 150},
	} {
		at := c.at
		if at < 0 {
			at += len(c.body)
		}
		bad := bytes.Clone(c.body)
		bad[at] ^= 1
		f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile(name, bad)))
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrCorrupt) {
			t.Errorf("%s: %v, want %v", name, err, fetch.ErrCorrupt)
		}
		checkAbsent(t, f, exportKey)
	}
}

func TestADamagedMagicNumberIsCorrupt(t *testing.T) {
	for name, body := range map[string][]byte{
		"e.csv.zst": encode(t, "zstd", rows), "e.csv.gz": encode(t, "gzip", rows), "e.csv.lz4": encode(t, "lz4", rows),
		"e.zip": zipOf(t, 8, twoFiles...), "e.tar": tarOf(t, twoFiles...), "e.tar.gz": encode(t, "gzip", tarOf(t, twoFiles...)),
	} {
		bad := bytes.Clone(body)
		bad[1] ^= 0x10
		f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile(name, bad)))
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrCorrupt) {
			t.Errorf("%s: %v, want %v", name, err, fetch.ErrCorrupt)
		}
		checkAbsent(t, f, exportKey)
	}
}

// newLargePartFetcher is newMemoryFetcher with parts of 1 MiB, for large objects.
func newLargePartFetcher(t testing.TB, s *fetchtest.Memory) *fetch.Fetcher {
	f := newMemoryFetcher(t, s)
	f.PartSize = 1 << 20
	return f
}

// repeated returns the frame or member of size zeros n times.
func repeated(t testing.TB, codec string, size, n int) []byte {
	return bytes.Repeat(encode(t, codec, make([]byte, size)), n)
}

func TestBombsAreRefusedWithTheLimitThatTheyExceed(t *testing.T) {
	if testing.Short() {
		t.Skip("it decodes much")
	}
	zeros := make([]byte, 3<<20)
	for name, tt := range map[string]struct {
		body []byte
		most int64 // MaxDecoded
	}{
		"zstd, by default":      {repeated(t, "zstd", 8<<20, 10), 0},
		"tar in it, by default": {encode(t, "zstd", tarOf(t, file{"zeros", make([]byte, 65<<20)})), 0},
		"zstd":                  {encode(t, "zstd", zeros), 3<<20 - 1},
		"gzip":                  {encode(t, "gzip", zeros), 3<<20 - 1},
		"lz4":                   {encode(t, "lz4", zeros), 3<<20 - 1},
		"zip":                   {zipOf(t, 8, file{"zeros", zeros}), 3<<20 - 1},
		"tar":                   {tarOf(t, file{"zeros", zeros}), 3<<20 - 1},
		"tar in gzip":           {encode(t, "gzip", tarOf(t, file{"zeros", zeros})), 3<<20 - 1},
	} {
		f := newLargePartFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("e", tt.body)))
		f.MaxDecoded = tt.most
		_, err := fetchOnce(t, f)
		if !errors.Is(err, fetch.ErrBomb) || len(kindsOf(err)) != 1 || limitOf(err) != fetch.LimitDecoded {
			t.Errorf("%s: %v, want the limit %q", name, err, fetch.LimitDecoded)
		}
		checkAbsent(t, f, exportKey)
	}
}

// limitOf returns the limit that a *fetch.LimitError names, or nil.
func limitOf(err error) any {
	if e, ok := errors.AsType[*fetch.LimitError](err); ok {
		return e.Limit
	}
	return nil
}

// The ratio is then that to the bytes received.
func TestBombOfUnknownLengthIsRefused(t *testing.T) {
	f := newLargePartFetcher(t, fetchtest.NewMemory(&fetchtest.File{Name: "e", Body: repeated(t, "zstd", 8<<20, 10), Promise: func(w verify.Want) verify.Want {
		w.Size = verify.Unknown
		return w
	}}))
	if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrBomb) {
		t.Errorf("%v, want %v", err, fetch.ErrBomb)
	}
}

func TestTarOfUnknownLengthLands(t *testing.T) {
	if testing.Short() {
		t.Skip("it hashes 65 MiB")
	}
	zeros := make([]byte, 65<<20)
	f := newLargePartFetcher(t, fetchtest.NewMemory(&fetchtest.File{Name: "e.tar", Body: tarOf(t, file{"zeros", zeros}), Promise: func(w verify.Want) verify.Want {
		w.Size = verify.Unknown
		return w
	}}))
	mustFetch(t, f)
	checkFiles(t, f, map[string]string{"zeros": string(zeros)})
}

func TestContentWithinTheLimitLands(t *testing.T) {
	if testing.Short() {
		t.Skip("it decodes much")
	}
	zeros := make([]byte, 3<<20)
	for name, tt := range map[string]struct {
		body []byte
		most int64
	}{
		"zstd, too small for the limit of the ratio": {encode(t, "zstd", zeros), 0},
		"zstd":                        {encode(t, "zstd", zeros), 5 << 20},
		"gzip":                        {encode(t, "gzip", zeros), 5 << 20},
		"lz4":                         {encode(t, "lz4", zeros), 5 << 20},
		"zip of zstd, at any ratio":   {zipOf(t, 93, file{"zeros", zeros}), 5 << 20},
		"plain, which is not decoded": {zeros, 1000},
	} {
		f := newLargePartFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("e", tt.body)))
		f.MaxDecoded = tt.most
		mustFetch(t, f)
		for _, got := range files(t, f) {
			if got != string(zeros) {
				t.Errorf("%s: %d bytes, want %d", name, len(got), len(zeros))
			}
		}
	}
}

func TestTheRatioCountsAllEntriesTogether(t *testing.T) {
	if testing.Short() {
		t.Skip("it decodes much")
	}
	var entries []file
	for i := range 70 {
		entries = append(entries, file{fmt.Sprint(i), make([]byte, 1<<20)})
	}
	f := newLargePartFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("e.zip", zipOf(t, 93, entries...))))
	if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrBomb) || !strings.Contains(fmt.Sprint(err), "in all") {
		t.Errorf("%v, want %v", err, fetch.ErrBomb)
	}
	f.MaxDecoded = 1 << 30
	mustFetch(t, f)
}

func TestEndlessHeadersAreCorrupt(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name = strings.Repeat("n", 1<<20)
	w.Write(rows)
	w.Close()
	endless := []byte("\x50\x2a\x4d\x18\xff\xff\xff\xff")
	pax := &bytes.Buffer{}
	tw := tar.NewWriter(pax)
	tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a", PAXRecords: map[string]string{"K.k": strings.Repeat("v", 1<<20-100)}})
	long := bytes.Replace(pax.Bytes(), []byte("00003777"), []byte("07777777"), 1)
	for name, body := range map[string][]byte{
		"a name of gzip":                b.Bytes(),
		"a skippable frame":             append(bytes.Clone(endless), rows...),
		"a skippable frame behind zstd": append(encode(t, "zstd", rows), endless...),
		"a skippable frame behind lz4":  append(encode(t, "lz4", rows), endless...),
		"records of a tar":              long,
	} {
		f := newLargePartFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("e", body)))
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrCorrupt) {
			t.Errorf("%s: %v, want %v", name, err, fetch.ErrCorrupt)
		}
		checkAbsent(t, f, exportKey)
	}
}

func TestAnErrorPageIsReportedByItsCodeAndMessage(t *testing.T) {
	for name, tt := range map[string]struct {
		page string
		kind error
		says []string
	}{
		"expired":          {xmlError("AccessDenied", "Request has expired."), fetch.ErrExpired, []string{"AccessDenied", "Request has expired.", "request R1", "HTTP 200"}},
		"denied":           {xmlError("AccessDenied", "You have no right."), fetch.ErrAuth, []string{"You have no right."}},
		"gone":             {xmlError("NoSuchKey", "The specified key does not exist."), fetch.ErrNotFound, []string{"NoSuchKey"}},
		"throttled":        {xmlError("SlowDown", "Slow down."), fetch.ErrThrottled, []string{"SlowDown"}},
		"broken":           {xmlError("InternalError", "Try again."), fetch.ErrTemporary, []string{"InternalError"}},
		"of no known code": {xmlError("Whatever", "Who knows."), fetch.ErrCorrupt, []string{"Whatever", "Who knows.", "request R1"}},
		"without a prolog": {"<Error><Code>NoSuchBucket</Code></Error>", fetch.ErrNotFound, []string{"NoSuchBucket"}},
		"with a mark":      {"\ufeff\n " + xmlError("NoSuchKey", "x"), fetch.ErrNotFound, []string{"NoSuchKey"}},
		"cut short":        {xmlError("NoSuchKey", "The specified")[:90], fetch.ErrNotFound, []string{"not the data but an error page"}},
		"of a secret":      {xmlError("AccessDenied", "GET /a?Signature=CANARY&amp;Expires=1 has expired"), fetch.ErrExpired, []string{"AccessDenied"}},
		"HTML":             {"<!DOCTYPE html>\n<html><head><title>\n502 Bad\n Gateway</title></head></html>", fetch.ErrCorrupt, []string{`a page of HTML, "502 Bad Gateway"`}},
		"HTML in capitals": {"  <HTML><BODY>Login", fetch.ErrCorrupt, []string{"a page of HTML"}},
		"XHTML":            {`<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0"><html/>`, fetch.ErrCorrupt, []string{"a page of HTML"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, []byte(tt.page)) // its hashes are right
			f, _ := newFetcher(t, t.TempDir())
			ref := s.ref(t, "a.csv", "")
			_, err := f.Fetch(t.Context(), ref)
			if !errors.Is(err, tt.kind) || !errors.Is(tt.kind, fetch.ErrCorrupt) && len(kindsOf(err)) > 0 {
				t.Errorf("%v, want %v", err, tt.kind)
			}
			for _, says := range tt.says {
				if !strings.Contains(fmt.Sprint(err), says) {
					t.Errorf("%v does not say %q", err, says)
				}
			}
			if strings.Contains(fmt.Sprint(err), "CANARY") {
				t.Errorf("a secret in %v", err)
			}
			checkAbsent(t, f, ref.Key())
			s.mu.Lock()
			s.body = rows
			s.mu.Unlock()
			s.restore()
			if _, err := f.Fetch(t.Context(), ref); err != nil {
				t.Fatalf("the data behind the page: %v", err)
			}
			checkLanded(t, f, ref.Key(), rows)
		})
	}
}

func TestDataThatLooksLikeAnErrorPageLands(t *testing.T) {
	page := xmlError("AccessDenied", "Request has expired.")
	for name, tt := range map[string]struct{ body, promise string }{
		"the job promised its MD5":   {page, "#md5=" + strings.ToLower(strings.Trim(etagOf([]byte(page)), `"`))},
		"the job promised its CRC64": {page, "#crc64=" + crcOf([]byte(page))},
		"large":                      {"<!DOCTYPE html>" + strings.Repeat("<p>", 30000), ""},
		"XML of rows":                {`<?xml version="1.0"?><rows><Error>1</Error></rows>`, ""},
		"XML of errors":              {`<Errors><Error/></Errors>`, ""},
		"a row of a page":            {"id,text\n1,\"<html>\"\n", ""},
	} {
		s := serve(t, []byte(tt.body))
		f, _ := newFetcher(t, t.TempDir())
		ref := s.ref(t, "a.xml", tt.promise)
		if _, err := f.Fetch(t.Context(), ref); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkLanded(t, f, ref.Key(), []byte(tt.body))
	}
	f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("index.html", []byte("<html></html>")))) // as listed, under its ETag
	mustFetch(t, f)
}

var flips = flag.Int("flips", 300, "how many `bits` to flip in transfer")

// promises are what a store may promise of an object, and whether that is a hash
// of its bytes.
var promises = []struct {
	name   string
	hash   bool
	reduce func(verify.Want) verify.Want
}{
	{"CRC64", true, func(w verify.Want) verify.Want { return verify.Want{Size: w.Size, CRC64: w.CRC64} }},
	{"MD5", true, func(w verify.Want) verify.Want { return verify.Want{Size: w.Size, ETag: w.ETag} }},
	{"CRC64 and no length", true, func(w verify.Want) verify.Want { return verify.Want{Size: verify.Unknown, CRC64: w.CRC64} }},
	{"length", false, onlySize},
	{"nothing", false, func(verify.Want) verify.Want { return verify.NoPromise() }},
}

// A sample is an object to flip bits of, and the files that it must land as.
type sample struct {
	name  string
	body  []byte
	files map[string]string
}

func samples(t testing.TB) (all []sample) {
	for format, half := range halves(t) {
		whole := map[string]string{"e.csv": string(rows)}
		if format == "zip" || format == "tar" {
			whole = map[string]string{"a.csv": string(rows[:2000]), "d/b.jsonl": "{}\n{}\n{}\n"}
		}
		all = append(all, sample{"e" + suffixes[format], slices.Concat(half[0], half[1]), whole})
	}
	plain, two := map[string]string{"e.csv": string(rows)}, map[string]string{"a.csv": string(rows[:2000]), "d/b.jsonl": "{}\n{}\n{}\n"}
	return append(all,
		sample{"e.csv", rows, plain},
		sample{"e.zip", zipOf(t, 0, twoFiles...), two},
		sample{"e.zip", zipOf(t, 93, twoFiles...), two},
		sample{"e.tar.gz", encode(t, "gzip", tarOf(t, twoFiles...)), two},
		sample{"e.tar.zst", encode(t, "zstd-", tarOf(t, twoFiles...)), two},
	)
}

// Where a hash is promised, each flip is a mismatch. Elsewhere the object is
// refused, or lands with the right content or with a doubt that it is unproven.
func TestNoFlippedBitLands(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	all := samples(t)
	ends := map[string]int{}
	s := fetchtest.NewMemory()
	f := newMemoryFetcher(t, s)
	count := *flips
	if testing.Short() {
		count /= 5 // once for each format and promise
	}
	for n := range count {
		c, p := all[n%len(all)], promises[n/len(all)%len(promises)]
		bit := random.IntN(8 * len(c.body))
		it := fetchtest.NewFile(c.name, c.body)
		it.Promise = p.reduce
		it.Answer = flippedBit(bit)
		s.Files = []*fetchtest.File{it}
		ref := parseRef(t, fmt.Sprintf("oss://bucket/e%d/", n))
		receipt, err := f.Fetch(t.Context(), ref)
		end := outcomeOf(receipt, err, hasFiles(t, f, ref, c.files, err))
		ends[p.name+": "+end]++
		if end == "landed wrong as proven" || end == "failed otherwise" || p.hash && end != "mismatch" {
			t.Errorf("seed %d, flip %d: bit %d of %s of %d bytes under %s: %s (%v)", seed, n, bit, c.name, len(c.body), p.name, end, err)
		}
	}
	t.Log(ends)
}

func outcomeOf(receipt *archive.Receipt, err error, right bool) string {
	switch {
	case isMismatch(err):
		return "mismatch"
	case errors.Is(err, verify.ErrUnproven) || len(kindsOf(err)) == 1:
		return "refused"
	case err != nil:
		return "failed otherwise"
	case right:
		return "landed right"
	case slices.ContainsFunc(receipt.Doubts, func(d string) bool { return strings.HasPrefix(d, "unproven") }):
		return "landed as unproven"
	}
	return "landed wrong as proven"
}

func hasFiles(t *testing.T, f *fetch.Fetcher, ref fetch.Ref, want map[string]string, err error) bool {
	if err != nil {
		checkAbsent(t, f, ref.Key())
		return false
	}
	got := filesOfKey(t, f, ref.Key())
	for name := range want {
		if got[baseOf(ref, name, len(want))] != want[name] {
			return false
		}
	}
	return len(got) == len(want)
}

// baseOf returns the name of a file in the bag. An only file is named after the
// reference.
func baseOf(ref fetch.Ref, name string, files int) string {
	if files > 1 {
		return name
	}
	parts := strings.Split(strings.TrimSuffix(ref.String(), "/"), "/")
	return parts[len(parts)-1] + ".csv"
}

// flippedBit flips one bit of the object in every answer.
func flippedBit(bit int) func(int64, io.ReadCloser) io.ReadCloser {
	at := int64(bit / 8)
	return func(off int64, answer io.ReadCloser) io.ReadCloser {
		b, _ := io.ReadAll(answer)
		if at >= off && at < off+int64(len(b)) {
			b[at-off] ^= 1 << (bit % 8)
		}
		return io.NopCloser(bytes.NewReader(b))
	}
}
