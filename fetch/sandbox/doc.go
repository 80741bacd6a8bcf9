// Package sandbox is a cloud in the process that judges like the vendor: the
// download jobs of SLS, the data tracking downloads of DMS, the download tasks
// of DBS, and the OSS-like store that holds their files and the customer's own
// buckets. It is what the demo shows, what "tallyman sandbox" serves and what
// the tests run against.
//
// A Cloud has projects, a project has jobs, a job has at most one File that is
// given by URL, or writes several to a bucket. It has orders, each with the
// zip that it made, instances of databases, each with the tasks that download
// from it, and buckets with objects. What a Job, an Order or a Task tells of
// its file may be untrue, and Faults say what goes wrong when the file is
// sent; all of it can be changed while the cloud serves. What is asked of one
// job, order or object never changes what another answers.
//
// All is on one listener. A call with an SLS signature, or under
// /downloadjobs, is one of the job API; one of "/" with an Action, or with
// x-acs-action, is one of DMS or DBS; one with a signature of DIS, or under its
// paths in /v1 and /v2, is one of DIS; anything else asks the store.
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
//   - DBS (DescribeDownloadTask, DescribeDownloadBackupSetStorageInfo of
//     2021-01-01): as DMS.
//   - DIS (ShowTransferTaskLog, ListTransferTasks, ShowTransferTask): a token in
//     X-Auth-Token, or "SDK-HMAC-SHA256" in the form of the service, with a key
//     of any region, or in that of the gateway, each refused in its own words.
//     What its dump tasks delivered is in the customer's buckets.
//   - the store, by key (GetObject, HeadObject, ListObjectsV2, ListObjects):
//     "OSS" (V1) or "OSS4-HMAC-SHA256" (V4), in the header. The bucket is the
//     first label of the Host header if there is one of that name, or "oss-"
//     follows; else it is the first element of the path.
//   - the store as OBS (GetObject, HeadObject, ListObjects): "OBS", or the
//     "AWS4-HMAC-SHA256" of S3 with UNSIGNED-PAYLOAD, in the header. Host and
//     path name the bucket as above, with "obs." in place of "oss-". URLs that
//     are signed so are not known here.
//   - the store, by URL (Expires, OSSAccessKeyId, Signature): signed by the
//     cloud for files of jobs, orders and tasks, which cannot be had by key, or by the
//     customer for its own objects. URLs of V4 are not known here.
//
// The store keeps OSS's ways that surprise: a URL is good for one method; an
// x-oss-* header, unsigned, breaks the signature; expiry is looked at before
// the signature; a range that is not wholly within the object is answered 200
// with all of it, but to x-oss-range-behavior: standard as by others; text is
// compressed on the way for a client that asks; an error of HEAD is told in
// x-oss-err; where encoding-type is url, the token of a listing is encoded too.
//
// As OBS it has OBS's ways: an ETag is lower-case, hashes the MD5s of parts as
// bytes, and is no hash of an encrypted object; ranges are as others have them;
// nothing is compressed on the way; headers begin with x-obs-, or x-amz- for
// S3's signature; a bucket that is elsewhere is a redirect.
//
// Signatures are tested against the examples that the vendors publish, that of
// OBS against those of S3's older one, which has the same rule.
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
//   - esdk-obs-nodejs 3.26.8 with its signature "obs", with a name lookup that
//     leads to 127.0.0.1 and without negotiation of the signature: it pages
//     through a listing two keys at a time, with keys such as "e/b c+d=?#.bin"
//     and "e/~!*'().csv", gets objects and ranges, by condition too, and
//     metadata; a wrong secret, an unknown key and bucket, an archived object, a
//     condition that fails and a range beyond the end come out as the errors of
//     the store. It escapes the quotes of a condition, which then fails. On an
//     address it signs as S3 did before V4, which is not known here.
//   - huaweicloud-sdk-go-obs v3.25.4 with V4: it lists, and gets ranges by
//     condition; a prefix or marker with a space it signs otherwise than S3 has
//     it, and is refused.
//   - @huaweicloud/huaweicloud-sdk-core 3.1.211, whose form is the gateway's:
//     it gets the log of a dump task, lists the tasks of a stream, also with a
//     query of "b=2 x*~&a=ä/+", and asks for one; a wrong secret and an unknown
//     key come out as its error APIGW.0301.
//
// Not known of the vendor, and so a guess here: the messages of JobNotExist
// and JobAlreadyExist, the status and code for an unknown operation, how many
// jobs a listing gives where it is not told, and how long a URL lives; the
// keys under a job's prefix; the codes of DMS for an order or tenant that is
// not there, for a version that is not known and for a parameter that is no
// number; that TotalCount is told of a success only; the codes of DBS, but for
// those of its pages, how many tasks a page has at the most and where it is not
// told, and the keys under a task's path; and the messages for a header of V4
// that is missing; of OBS the code for a region that is not the
// bucket's, and that a condition may have the quotes of its ETag; of DIS the
// keys of its files, the zone of their directories, the messages, and all that
// a row tells before its end.
package sandbox
