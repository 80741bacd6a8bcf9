package archive

// What the tests in package archive_test need of the disk.
var (
	OpenWith        = openWith
	NewPowerCutDisk = newPowerCutDisk
	LoseUnsynced    = loseUnsynced
	KeepAtRandom    = keepAtRandom
)

// A PowerCutDisk knows what a power cut would leave.
type PowerCutDisk = powerCutDisk

// Step is told of each change to the disk.
func (p *powerCutDisk) Step(op, path string) error { return p.step(op, path) }

// CutPower writes to dir what a power cut would leave.
func (p *powerCutDisk) CutPower(dir string, survives func() bool) { p.cutPower(dir, survives) }

// SetSpace replaces what the system says of the archive's file system.
func (a *Archive) SetSpace(total, free, files int64, maxElement int) {
	a.measure = func(string) (diskSpace, bool) { return diskSpace{total, free, files, maxElement}, true }
}

// HashName is the file name that stands for a key, or the name of an object.
var HashName = hashName
