package fetch

import (
	"context"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// openFirst checks the name of an object, reserves the space that it needs, and
// makes the first request. If the job promised no size, the answer to that
// request tells how much to reserve, and nothing of it is kept before.
func (a *attempt) openFirst(ctx context.Context, object target, partial *archive.Partial, transfer *transfer) error {
	if err := nameError(a.in.CheckName(object.names.File())); err != nil {
		return err
	}
	known := partial.Want().Size != verify.Unknown
	if known {
		if err := a.reserve(ctx, object, partial); err != nil {
			return err
		}
	}
	if err := transfer.openFirst(ctx); err != nil || known {
		return err
	}
	return a.reserve(ctx, object, partial)
}

// reserve reserves the space that the object needs at least: what is missing of
// it, and content that is no smaller than its bytes as transferred. How much
// larger the content is nobody promises; a zip tells once it is here.
func (a *attempt) reserve(ctx context.Context, object target, partial *archive.Partial) error {
	return a.reserveContent(ctx, object, partial, max(partial.Want().Size, 0))
}

func (a *attempt) reserveContent(ctx context.Context, object target, partial *archive.Partial, content int64) error {
	ctx, taken := a.softly(ctx)
	defer taken()
	if a.Keep == KeepWire {
		content = 0
	}
	return partial.Reserve(ctx, content, func() {
		a.tell(Progress{Ref: a.ref, Object: object.Name, Size: partial.Want().Size, Note: "waiting for room on the disk, which others may leave"})
	})
}
