// Package sandbox is a cloud in the process that judges like the vendor: the
// download jobs of SLS, the data tracking downloads of DMS, and the OSS-like
// store that holds their files and the customer's own buckets. It is what the
// demo shows, what "tallyman sandbox" serves and what the tests run against.
//
// A Cloud has projects, a project has jobs, a job has at most one File that is
// given by URL, or writes several to a bucket. It has orders, each with the
// zip that it made, and buckets with objects. What a Job or an Order tells of
// its file may be untrue, and Faults say what goes wrong when the file is
// sent; all of it can be changed while the cloud serves. What is asked of one
// job, order or object never changes what another answers.
//
// All is on one listener. A call with an SLS signature, or under
// /downloadjobs, is one of the job API; one of "/" with an Action, or with
// x-acs-action, is one of DMS; anything else asks the store.
//
// Every signature is checked by code that shares nothing with the client's
// signer, so that each checks the other, and the key is judged before what is
// asked for is looked for:
//
//   - job API (GetDownloadJob, ListDownloadJobs, CreateDownloadJob,
//     DeleteDownloadJob): "LOG" with HMAC-SHA1 or HMAC-SHA256, or
//     "SLS4-HMAC-SHA256" for any region. The project is the first label of the
//     Host header; an address, or a name without a dot, has none, and there
//     ProjectHeader or the job's name decides.
//   - DMS (QueryDataTrackResultDownloadStatus of 2018-11-01): "ACS3-HMAC-SHA256",
//     or the older one, HMAC-SHA1 in the parameters. A nonce is good once.
//     Answers are JSON, but of the older signature XML where Format does not
//     ask for JSON.
//   - the store, by key (GetObject, HeadObject, ListObjectsV2, ListObjects):
//     "OSS" (V1) or "OSS4-HMAC-SHA256" (V4), in the header. The bucket is the
//     first label of the Host header if there is one of that name, or "oss-"
//     follows; else it is the first element of the path.
//   - the store, by URL (Expires, OSSAccessKeyId, Signature): signed by the
//     cloud for files of jobs and orders, which cannot be had by key, or by the
//     customer for its own objects. URLs of V4 are not known here.
//
// The store keeps OSS's ways that surprise: a URL is good for one method; an
// x-oss-* header, unsigned, breaks the signature; expiry is looked at before
// the signature; a range that is not wholly within the object is answered 200
// with all of it, but to x-oss-range-behavior: standard as by others; text is
// compressed on the way for a client that asks; an error of HEAD is told in
// x-oss-err; where encoding-type is url, the token of a listing is encoded too.
//
// Signatures are tested against the examples that the vendor publishes.
// Checked besides against its own SDKs, unmodified, with and without an STS
// token; on Node 20.20.2 and Go 1.26.8:
//
//   - @alicloud/sls20201230 5.9.0 (gateway-sls 0.3.2, openapi-client 0.4.15),
//     with a name lookup that leads to 127.0.0.1, and with its default
//     signature (v1, HMAC-SHA256) and its v4: it creates, gets, lists and
//     deletes jobs, filters by a Logstore whose name has a space, and follows a
//     created job to its end; a wrong secret, an unknown key, a wrong token, an
//     unknown project or job and a name that is taken or against the rules come
//     out as its errors SignatureNotMatch, Unauthorized, ProjectNotExist,
//     JobNotExist, JobAlreadyExist and ParameterInvalid.
//   - @alicloud/openapi-client 0.4.15 (openapi-util 0.3.3) and darabonba-openapi
//     v2.1.13 for Go, with ACS3 and with signature algorithm "v2", by POST and
//     GET, and of Go with a form: an order is followed to its end; a throttled
//     call, a wrong secret, a wrong token, an unknown action and version and a
//     missing parameter come out as errors with the code told here, an unknown
//     order as an answer of no success. Go's ThrottlingError has the TimeLeft
//     of the header.
//   - ali-oss 6.23.0 and aliyun-oss-go-sdk v3.0.2, with V1 and V4, and of Go
//     with additional headers: they page through both listings two keys or one
//     at a time, with keys such as "e/b+c d.zip" and "e/b c+d=?#.bin", get
//     objects and ranges in both behaviours, ask for metadata and by condition,
//     and use a URL of V1 that they signed; a wrong secret, token and region, an
//     unknown key and bucket, an archived object and an upload come out as the
//     errors of the store. On an address ali-oss names the bucket in the Host
//     header, with sldEnable in the path also, which no signature then fits; on
//     "localhost" sldEnable is path style.
//
// Not known of the vendor, and so a guess here: the messages of JobNotExist
// and JobAlreadyExist, the status and code for an unknown operation, how many
// jobs a listing gives where it is not told, and how long a URL lives; the
// keys under a job's prefix; the codes of DMS for an order or tenant that is
// not there, for a version that is not known and for a parameter that is no
// number; that TotalCount is told of a success only; and the messages for a
// header of V4 that is missing.
package sandbox
