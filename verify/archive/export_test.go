package archive

// What the tests of whole fetches, which stand outside, see of the disk.
var (
	OpenWith        = openWith
	NewPowerCutDisk = newPowerCutDisk
	LoseUnsynced    = loseUnsynced
	KeepAtRandom    = keepAtRandom
)

// A PowerCutDisk is what is durable.
type PowerCutDisk = powerCutDisk

// Step takes in a change to the disk.
func (p *powerCutDisk) Step(op, path string) error { return p.step(op, path) }

// CutPower makes in dir what a power cut leaves.
func (p *powerCutDisk) CutPower(dir string, survives func() bool) { p.cutPower(dir, survives) }

// SetSpace says what the file system has.
func (a *Archive) SetSpace(total, free, files int64, longest int) {
	a.measure = func() (diskSpace, bool) { return diskSpace{total, free, files, longest}, true }
}

// HashName names the files of an object being received.
var HashName = hashName
