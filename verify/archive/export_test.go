package archive

// What the tests of whole fetches, which stand outside, see of the disk.
var (
	OpenWith   = openWith
	NewPlatter = newPlatter
	NoLuck     = noLuck
	Gamble     = gamble
)

// A Platter is what is durable.
type Platter = platter

// Step takes in a change to the disk.
func (p *platter) Step(op, path string) error { return p.step(op, path) }

// CutPower makes in dir what a power cut leaves.
func (p *platter) CutPower(dir string, lucky func() bool) { p.cutPower(dir, lucky) }

// SetSpace says what the file system has.
func (a *Archive) SetSpace(total, free, files int64, longest int) {
	a.measure = func() (space, bool) { return space{total, free, files, longest}, true }
}

// HashName names the files of an object being received.
var HashName = hashName
