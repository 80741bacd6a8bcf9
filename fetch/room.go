package fetch

import (
	"context"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// approach makes the first request for an object that the archive has a name and
// the room for. Where the job tells its size, nothing is asked before that is
// known; else nothing that is answered is kept.
func (a *attempt) approach(ctx context.Context, object named, partial *archive.Partial, ranges *ranges) error {
	if err := unfit(a.in.CheckName(object.file())); err != nil {
		return err
	}
	known := partial.Want().Size != verify.Unknown
	if known {
		if err := a.reserve(ctx, object, partial); err != nil {
			return err
		}
	}
	if err := ranges.begin(ctx); err != nil || known {
		return err
	}
	return a.reserve(ctx, object, partial)
}

// reserve takes the room that the object is sure to need: what is missing of
// it, and, beside that, content no smaller than it is as transferred. How much
// larger the content is, nobody promises; a zip tells once it is here.
func (a *attempt) reserve(ctx context.Context, object named, partial *archive.Partial) error {
	return a.reserveContent(ctx, object, partial, max(partial.Want().Size, 0))
}

func (a *attempt) reserveContent(ctx context.Context, object named, partial *archive.Partial, content int64) error {
	ctx, taken := a.untilDrained(ctx)
	defer taken()
	if a.Keep == KeepWire {
		content = 0
	}
	return partial.Reserve(ctx, content, func() {
		a.tell(Progress{Ref: a.ref, Object: object.Name, Size: partial.Want().Size, Note: "waiting for room on the disk, which others may leave"})
	})
}
