package dbs

const hangzhou = "dbs-api.cn-hangzhou"

// hosts are those that answer for a region, where that is not dbs.REGION.
var hosts = map[string]string{
	"cn-hangzhou":           hangzhou,
	"cn-beijing":            hangzhou,
	"cn-qingdao":            hangzhou,
	"cn-shanghai":           hangzhou,
	"cn-shenzhen":           hangzhou,
	"cn-zhangjiakou":        hangzhou,
	"cn-hongkong":           hangzhou,
	"us-west-1":             hangzhou,
	"us-east-1":             hangzhou,
	"cn-hangzhou-finance":   hangzhou,
	"cn-shanghai-finance-1": hangzhou,
	"cn-shenzhen-finance-1": hangzhou,

	"cn-chengdu":     "dbs-api.cn-chengdu",
	"cn-huhehaote":   "dbs-api.cn-huhehaote",
	"ap-southeast-1": "dbs-api.ap-southeast-1",
	"ap-southeast-2": "dbs-api.ap-southeast-2",
	"ap-southeast-3": "dbs-api.ap-southeast-3",
	"ap-southeast-5": "dbs-api.ap-southeast-5",
	"ap-northeast-1": "dbs-api.ap-northeast-1",
	"ap-south-1":     "dbs-api.ap-south-1",
	"eu-central-1":   "dbs-api.eu-central-1",
	"eu-west-1":      "dbs-api.eu-west-1",
	"me-east-1":      "dbs-api.me-east-1",
}
