// Package sandbox is a cloud in the process that answers as the vendors do:
// Alibaba Cloud's SLS, DMS, DBS and OSS, and Huawei Cloud's DIS and OBS. The
// demo and the tests run against it, and a command serves it to try things on.
//
//	cloud := sandbox.New(sandbox.Options{AccessKeyID: "id", AccessKeySecret: "secret"})
//	cloud.AddJob("project", sandbox.Job{Name: "job", File: sandbox.File{Rows: 10, Codec: "zstd"}})
//	origin, stop, err := cloud.Start() // the endpoint of every API
//
// # Words
//
//   - cloud: all that is served on one listener, for one customer with one key.
//   - job: a download job of SLS, in a project. It has one File, by URL, or
//     writes several to a bucket.
//   - log store: rows of SLS with their times, in a project. A histogram counts
//     them, and a job that is created while a project has log stores exports them.
//   - order: a data tracking order of DMS with one download key. Its file is a zip.
//   - task: a download task of DBS, of a database instance.
//   - dump task: a task of DIS that writes the records of a stream to a bucket;
//     each file that it writes is a delivery.
//   - status: the vendor's word for how far a job, an order or a task is. Each
//     call for it answers the next of a list.
//   - bucket, object: as in OSS and OBS. The cloud has buckets of its own for
//     the files that are given by URL; all others are the customer's.
//   - operation: what a request asks for, by the vendor's name (GetObject).
//   - account: the customer's keys. access: what the signer of a request may read.
//   - fault: something that goes wrong with a file when it is sent, always or so
//     many times. A job may also promise what is not true of its file.
//   - count: how often something was asked for (Counts), or a fault occurred.
//
// All of it can be changed while the cloud serves. What is asked of one job,
// order or object never changes the answers of another.
//
// # Signatures
//
// Every signature is checked (package internal/sign) by code that shares
// nothing with the clients that sign. The cloud checks the key before it looks
// for what is asked for. It tells the APIs apart by the request:
//
//   - SLS (GetDownloadJob, ListDownloadJobs, CreateDownloadJob, DeleteDownloadJob,
//     GetLogStore, GetIndex, GetHistograms by its path of today and its older
//     one): a path under /downloadjobs or /logstores, or a signature of SLS. The
//     project is the first label of the Host header. An address, or a name
//     without a dot, has none: there ProjectHeader decides, or the job's name.
//   - DMS (QueryDataTrackResultDownloadStatus of 2018-11-01) and DBS
//     (DescribeDownloadTask, DescribeDownloadBackupSetStorageInfo of 2021-01-01):
//     "/" with an Action or x-acs-action. A nonce is good once. Answers are JSON;
//     to the older signature they are XML unless Format asks for JSON.
//   - DIS (ShowTransferTaskLog, ListTransferTasks, ShowTransferTask): its
//     signature, or its paths in /v1 and /v2. What is delivered is in the
//     customer's buckets.
//   - OBS (GetObject, HeadObject, ListObjects): its signature or S3's in the
//     header, with UNSIGNED-PAYLOAD, or a host with "obs.". URLs signed so are
//     not known.
//   - OSS (GetObject, HeadObject, GetObjectMeta, ListObjectsV2, ListObjects):
//     anything else. A request is signed in a header (V1, V4) or in its URL (V1
//     alone). The cloud signs the URLs of jobs, orders and tasks, whose files
//     can't be read by key; the customer signs those of its own objects.
//
// A store's bucket is the first label of the Host header if there is one of
// that name, or if "oss-" or "obs." follows; else the first element of the path.
//
// # Like the vendor
//
// OSS surprises in these ways, and so does the sandbox. A URL is good for one
// method. An x-oss-* header that was not signed breaks the signature. The expiry
// is checked before the signature. A range that is not wholly within the object
// is answered with 200 and the whole object, unless x-oss-range-behavior is
// standard. Text is compressed on the way for a client that asks for it. The
// error of a HEAD is in x-oss-err. With encoding-type=url the token of a listing
// is encoded too.
//
// OBS differs. Its ETag is in lower case, hashes the MD5s of parts as bytes, and
// is no hash of an encrypted object. Ranges are those of RFC 9110. Nothing is
// compressed on the way. Headers begin with x-obs-, or with x-amz- for S3's
// signature. A bucket that is elsewhere is a redirect.
//
// # Checked against
//
// Tests check the signatures against the examples that the vendors publish, and
// OBS's against those of S3's older signature, which has the same rule. The
// vendors' own SDKs, unmodified, were run against the cloud with and without an
// STS token, on Node 20.20.2 and Go 1.26.8:
//
//   - @alicloud/sls20201230 5.9.0 (gateway-sls 0.3.2, openapi-client 0.4.15),
//     with a name lookup that leads to 127.0.0.1, with its default signature (v1,
//     HMAC-SHA256) and its v4. It creates, gets, lists and deletes jobs, filters
//     by a Logstore whose name has a space, and follows a created job to its end.
//     A wrong secret, an unknown key, a wrong token, an unknown project or job,
//     and a name that exists or is not allowed give its errors
//     SignatureNotMatch, Unauthorized, ProjectNotExist, JobNotExist,
//     JobAlreadyExist and ParameterInvalid.
//   - @alicloud/openapi-client 0.4.15 (openapi-util 0.3.3), and darabonba-openapi
//     v2.1.13 for Go, with ACS3 and with signature algorithm "v2", by POST and
//     GET, and in Go with a form. They follow an order to its end. A throttled
//     call, a wrong secret, a wrong token, an unknown action or version and a
//     missing parameter give errors with the codes of this package; an unknown
//     order gives an answer without success. Go's ThrottlingError has the TimeLeft
//     of the header.
//   - ali-oss 6.23.0 and aliyun-oss-go-sdk v3.0.2, with V1 and V4, and in Go
//     with additional headers. They page through both listings, two keys or one
//     at a time, with keys such as "e/b+c d.zip" and "e/b c+d=?#.bin"; get objects
//     and ranges in both behaviours; ask for metadata and with conditions; and use
//     a URL of V1 that they signed. A wrong secret, token or region, an unknown
//     key or bucket, an archived object and an upload give the errors of the
//     store. On an address ali-oss names the bucket in the Host header, and with
//     sldEnable in the path too, which no signature then fits; on "localhost"
//     sldEnable is path style.
//   - esdk-obs-nodejs 3.26.8 with its signature "obs", with a name lookup that
//     leads to 127.0.0.1 and without negotiation of the signature. It pages
//     through a listing two keys at a time, with keys such as "e/b c+d=?#.bin" and
//     "e/~!*'().csv", and gets objects, ranges and metadata, with conditions too.
//     A wrong secret, an unknown key or bucket, an archived object, a condition
//     that fails and a range beyond the end give the errors of the store. It
//     escapes the quotes of a condition, which then fails. On an address it signs
//     as S3 did before V4, which is not known here.
//   - huaweicloud-sdk-go-obs v3.25.4 with V4: it lists, and gets ranges with
//     conditions. A prefix or marker with a space it signs otherwise than S3
//     does, and is refused.
//   - @huaweicloud/huaweicloud-sdk-core 3.1.211, whose form is the gateway's: it
//     gets the log of a dump task, lists the tasks of a stream, also with a query
//     of "b=2 x*~&a=ä/+", and asks for one. A wrong secret and an unknown key
//     give its error APIGW.0301.
//
// # Guesses
//
// The vendors do not publish these, so the sandbox guesses them:
//
//   - SLS: the messages of JobNotExist and JobAlreadyExist, the status and code
//     for an unknown operation, the quota of jobs and the code for one too many,
//     the widths of a histogram's intervals, what an Incomplete one counts, how many jobs a listing has without a size, how
//     long a URL lives, and the keys under a job's prefix.
//   - DMS: the codes for an order or a tenant that does not exist, for an unknown
//     version and for a parameter that is no number; that a success alone has
//     TotalCount.
//   - DBS: the codes, but for those on its pages; how many tasks a page has at
//     most, and without a size; the keys under a task's path.
//   - OSS: the messages for a missing header of V4.
//   - OBS: the code for a region that is not the bucket's; that a condition may
//     have the quotes of its ETag.
//   - DIS: the keys of its files, the time zone of their directories, the
//     messages, and all that a row has before its end.
package sandbox
