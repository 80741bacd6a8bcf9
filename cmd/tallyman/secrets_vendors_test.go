package main

import (
	"testing"
	"time"

	"tallyman/fetch/sandbox"
)

// vendorCases are what those of DBS, DIS and OBS may end at.
var vendorCases = []struct {
	name string
	ref  string
	env  []string
	exit int
}{
	{name: "dbs-landed", ref: "dbs://cn-hangzhou/rm-1/landed"},
	{name: "dbs-cut", ref: "dbs://cn-hangzhou/rm-1/cut", exit: 5},
	{name: "dbs-elsewhere", ref: "dbs://cn-hangzhou/rm-1/elsewhere", exit: 4},
	{name: "dbs-denied", ref: "dbs://cn-hangzhou/rm-1/landed", env: []string{"ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + secretKey + "2"}, exit: 6},
	{name: "dis-landed", ref: "dis://cn-north-4/dump-1/landed"},
	{name: "dis-by-token", ref: "dis://cn-north-4/dump-1/landed", env: []string{"HUAWEICLOUD_SDK_TOKEN=" + secretAuth}},
	{name: "dis-wrong-token", ref: "dis://cn-north-4/dump-1/landed", env: []string{"HUAWEICLOUD_SDK_TOKEN=" + secretAuth + "2"}, exit: 6},
	{name: "dis-denied", ref: "dis://cn-north-4/dump-1/landed", env: []string{"HUAWEICLOUD_SDK_SK=" + secretKey + "2"}, exit: 6},
	{name: "dis-by-proxy", ref: "dis://cn-north-4/dump-1/landed", env: []string{"TALLYMAN_ENDPOINT_DIS="}, exit: 5},
	{name: "obs-landed", ref: "obs://landing/"},
	{name: "obs-denied", ref: "obs://landing/", env: []string{"HUAWEICLOUD_SDK_SK=" + secretKey + "2"}, exit: 6},
	{name: "obs-wrong-token", ref: "obs://landing/", env: []string{"HUAWEICLOUD_SDK_SECURITY_TOKEN=" + secretToken + "2"}, exit: 6},
	{name: "obs-by-proxy", ref: "obs://landing/?region=cn-north-4", env: []string{"TALLYMAN_ENDPOINT_OBS="}, exit: 5},
}

const secretAuth = "canary-auth"

func TestNoSecretOfTheOtherServicesIsShownOrKept(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	cloud := sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: secretKey, SecurityToken: secretToken, AuthToken: secretAuth})
	endpoint, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	cloud.AddTask("rm-1", sandbox.Task{ID: "landed", File: sandbox.File{Rows: 10}})
	cloud.AddTask("rm-1", sandbox.Task{ID: "cut", File: withFaults(sandbox.Faults{Cut: sandbox.Cut{Times: -1}}).File})
	cloud.AddTask("rm-1", sandbox.Task{ID: "elsewhere", PublicURL: secretURL})
	delivery := delivered(time.Now().Add(-time.Hour))
	delivery.Name, delivery.File.Rows = "landed", 10
	cloud.AddDumpTask(sandbox.DumpTask{ID: "dump-1", Bucket: "landing", Deliveries: []sandbox.Delivery{delivery}})
	for _, c := range vendorCases {
		env := append([]string{
			"HUAWEICLOUD_SDK_AK=" + accessKeyID, "HUAWEICLOUD_SDK_SK=" + secretKey, "HUAWEICLOUD_SDK_SECURITY_TOKEN=" + secretToken,
			"TALLYMAN_ENDPOINT_DBS=" + endpoint, "TALLYMAN_ENDPOINT_DIS=" + endpoint, "TALLYMAN_ENDPOINT_OBS=" + endpoint,
		}, c.env...)
		t.Run(c.name, func(t *testing.T) {
			keepsSecrets(t, endpoint, env, []string{c.ref}, c.exit, append([]string{secretAuth}, secrets...))
		})
	}
}
