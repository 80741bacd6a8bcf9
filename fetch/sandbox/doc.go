// Package sandbox is a cloud in the process that judges like the vendor: the
// download jobs of SLS, and the OSS-like store that holds their files. It is
// what the demo shows, what "tallyman sandbox" serves and what the tests run
// against.
//
// A Cloud has projects, a project has jobs, a job has at most one File. What a
// Job tells of its file may be untrue, and Faults say what goes wrong when the
// file is sent; both can be changed while the cloud serves. What one job is
// asked never changes what another answers.
//
// The job API (GetDownloadJob, ListDownloadJobs, CreateDownloadJob,
// DeleteDownloadJob) believes only who signs: "LOG" with HMAC-SHA1 or
// HMAC-SHA256, or "SLS4-HMAC-SHA256" for any region. The verifier shares no
// code with the client's signer, so that each checks the other. The key is
// judged before the project and the job are looked for. The project is the
// first label of the Host header; an address, or a name without a dot, has
// none, and there ProjectHeader or the job's name decides.
//
// Files are given by signed URL only (Expires, OSSAccessKeyId, Signature), on
// the same listener, under the host of the call less the project. The store
// keeps OSS's ways that surprise: a URL is good for one method; an x-oss-*
// header, unsigned, breaks the signature; expiry is looked at before the
// signature; a range that is not wholly within the object is answered 200 with
// all of it; text is compressed on the way for a client that asks.
//
// Signatures are tested against the examples that the vendor publishes.
// Checked besides against @alicloud/sls20201230 5.9.0 (gateway-sls 0.3.2,
// openapi-client 0.4.15) on Node 20.20.2, unmodified but for a name lookup
// that leads to 127.0.0.1. With its default signature (v1, HMAC-SHA256) and
// with its v4, each with and without an STS token: it creates, gets, lists and
// deletes jobs, filters by a Logstore whose name has a space, and follows a
// created job to its end; a wrong secret, an unknown key, a wrong token, an
// unknown project or job and a name that is taken or against the rules come
// out as its errors SignatureNotMatch, Unauthorized, ProjectNotExist,
// JobNotExist, JobAlreadyExist and ParameterInvalid.
//
// Not known of the vendor, and so a guess here: the messages of JobNotExist
// and JobAlreadyExist, the status and code for an unknown operation, how many
// jobs a listing gives where it is not told, and how long a URL lives.
package sandbox
