// Calls a sandbox of SLS by the vendor's own SDK, and prints what that understood as JSON.
const dns = require('dns')
dns.lookup = (host, options, callback) => (typeof options === 'function' ? options : callback)(null, options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4)
const sls = require('@alicloud/sls20201230'), { Config } = require('@alicloud/openapi-core').$OpenApiUtil
const [project, store, from, to] = ['ali-test-project', 'access', +process.env.FROM, +process.env.TO]
const client = new sls.default(new Config({
  accessKeyId: process.env.KEY, accessKeySecret: process.env.SECRET, endpoint: process.env.ENDPOINT, protocol: 'HTTP', regionId: 'cn-hangzhou',
}))
const attempt = async call => {
  try { return (await call).body } catch (e) { return { code: e.code, status: e.statusCode ?? e.data?.statusCode } }
}
const job = new sls.CreateDownloadJobRequest({
  name: 'made-by-sdk', displayName: 'made by the SDK', configuration: new sls.CreateDownloadJobRequestConfiguration({
    logstore: store, fromTime: from, toTime: to, query: '*', allowInComplete: false,
    sink: new sls.CreateDownloadJobRequestConfigurationSink({ type: 'AliyunOSS', contentType: 'csv', compressionType: 'zstd' }),
  }),
})
;(async () => {
  const said = { store: await attempt(client.getLogStore(project, store)), none: await attempt(client.getLogStore(project, 'nobody')) }
  said.histogram = await attempt(client.getHistograms(project, store, new sls.GetHistogramsRequest({ from, to, query: '*' })))
  said.made = await attempt(client.createDownloadJob(project, job))
  said.again = await attempt(client.createDownloadJob(project, job))
  for (let i = 0; i < 9 && said.job?.status !== 'SUCCEEDED'; i++) said.job = await attempt(client.getDownloadJob(project, 'made-by-sdk'))
  said.list = await attempt(client.listDownloadJobs(project, new sls.ListDownloadJobsRequest({ offset: 0, size: 10 })))
  said.deleted = await attempt(client.deleteDownloadJob(project, 'made-by-sdk'))
  said.gone = await attempt(client.getDownloadJob(project, 'made-by-sdk'))
  console.log(JSON.stringify(said))
})()
